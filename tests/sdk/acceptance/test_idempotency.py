"""Idempotency keys with our own client: both methods, single and bulk (A100 to A105)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from limpet import (
    BulkTriggerIdempotencyCollisionError,
    Context,
    FailedTaskRunExceptionGroup,
    IdempotencyCollisionError,
    Limpet,
    StatusBasedIdempotencyConfig,
    TTLBasedIdempotencyConfig,
)

TTL = TTLBasedIdempotencyConfig(key_expression="input.id", ttl=timedelta(seconds=60))
STATUS = StatusBasedIdempotencyConfig(key_expression="input.id", fallback_ttl=timedelta(seconds=60))


class Order(BaseModel):
    id: str = "1"
    fails: bool = False


def declared(client: Limpet, rule: Any, *, retries: int = 0) -> Any:
    """A task that tries to start itself with the same key while it runs, and tells what came of it."""

    @client.task(name="bill", input_validator=Order, idempotency=rule, retries=retries)
    async def bill(input: Order, ctx: Context) -> dict[str, Any]:
        with pytest.raises(IdempotencyCollisionError) as caught:
            await bill.aio_run(input, wait_for_result=False)
        assert caught.value.existing_run_external_id == ctx.workflow_run_id
        if input.fails:
            raise RuntimeError("no money")
        return {"attempt": ctx.attempt_number}

    return bill


async def test_A100_a_second_trigger_raises_with_the_first_id_and_makes_no_run(limpet_client: Limpet) -> None:
    bill = declared(limpet_client, TTL)
    async with limpet_client.worker("w", workflows=[bill]):
        first = await bill.aio_run(Order(), wait_for_result=False)
        await first.aio_result()
        with pytest.raises(IdempotencyCollisionError) as caught:
            await bill.aio_run(Order())
    assert caught.value.existing_run_external_id == first.workflow_run_id
    assert len((await limpet_client.runs.aio_list()).rows) == 1


@pytest.mark.parametrize("fails", [False, True])
async def test_A102_A103_a_status_key_is_held_over_retries_and_free_when_the_result_is_seen(
    limpet_client: Limpet, fails: bool
) -> None:
    bill = declared(limpet_client, STATUS, retries=3)
    async with limpet_client.worker("w", workflows=[bill]):
        for _ in range(3):
            if fails:
                with pytest.raises(FailedTaskRunExceptionGroup, match="no money"):
                    await bill.aio_run(Order(fails=True))
            else:
                assert await bill.aio_run(Order()) == {"attempt": 1}
    assert len((await limpet_client.runs.aio_list()).rows) == 3


async def test_A104_a_cancelled_run_frees_its_status_key(limpet_client: Limpet) -> None:
    bill = declared(limpet_client, STATUS)
    async with limpet_client.worker("w", workflows=[bill]):
        pass  # registered, and nobody works
    first = await bill.aio_run(Order(), wait_for_result=False)
    with pytest.raises(IdempotencyCollisionError):
        await bill.aio_run(Order(), wait_for_result=False)
    await limpet_client.runs.aio_cancel(first.workflow_run_id)
    second = await bill.aio_run(Order(), wait_for_result=False)
    assert second.workflow_run_id != first.workflow_run_id


async def test_A105_of_equal_keys_in_one_bulk_one_wins_and_the_error_tells_both(limpet_client: Limpet) -> None:
    bill = declared(limpet_client, TTL)
    async with limpet_client.worker("w", workflows=[bill]):
        pass  # registered, and nobody works
    items = [bill.create_bulk_run_item(Order(id=one)) for one in ("x", "x", "y")]
    with pytest.raises(BulkTriggerIdempotencyCollisionError) as caught:
        await bill.aio_run_many(items, wait_for_result=False)
    runs = {row.workflow_run_external_id for row in (await limpet_client.runs.aio_list()).rows}
    assert set(caught.value.successful_workflow_run_external_ids) == runs
    assert len(runs) == 2
    (collision,) = caught.value.collisions
    assert collision.existing_run_external_id == caught.value.successful_workflow_run_external_ids[0]


async def test_W16_8_a_key_that_cannot_be_computed_refuses_the_trigger(limpet_client: Limpet) -> None:
    rule = TTLBasedIdempotencyConfig(key_expression="additional_metadata.order", ttl=timedelta(seconds=60))
    bill = declared(limpet_client, rule)
    async with limpet_client.worker("w", workflows=[bill]):
        pass  # registered, and nobody works
    with pytest.raises(Exception, match="no idempotency key, so no run"):
        await bill.aio_run(Order(), wait_for_result=False)
