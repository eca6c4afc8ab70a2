"""A notebook: an event loop runs already, cells are typed one after the other, and calls are synchronous or awaited."""

from __future__ import annotations

import threading

import pytest

from limpet import ClientConfig, Context, EmptyModel, EngineNotFoundError, Limpet, TenacityConfig, WorkerStatus
from limpet.testing import EmbeddedEngine


async def test_the_line_after_the_start_can_trigger_and_the_worker_leaves_when_asked(
    limpet_client: Limpet, limpet_engine: EmbeddedEngine
) -> None:
    @limpet_client.task()
    def where(input: EmptyModel, ctx: Context) -> dict[str, str]:
        return {"thread": threading.current_thread().name}

    worker = limpet_client.worker("notebook", workflows=[where])
    worker.start()
    assert worker.status is WorkerStatus.HEALTHY
    assert where.run().keys() == {"thread"}, "a synchronous call in a running loop"
    assert (await where.aio_run()).keys() == {"thread"}
    await worker.exit_gracefully()
    assert all(view.gone_at is not None for view in limpet_engine.workers())
    assert not worker._thread.is_alive()  # type: ignore[union-attr]


async def test_what_keeps_a_worker_from_starting_is_raised_where_it_is_started() -> None:
    config = ClientConfig(host_port="127.0.0.1:9", server_url="http://127.0.0.1:9", tenacity=TenacityConfig(max_attempts=1))
    client = Limpet(config=config)

    @client.task()
    def work(input: EmptyModel, ctx: Context) -> None: ...

    with pytest.raises(EngineNotFoundError, match=r"no engine answers at 127\.0\.0\.1:9"):
        client.worker("w", workflows=[work]).start()
