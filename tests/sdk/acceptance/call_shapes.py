"""The twelve ways to start a standalone task and to get its output."""

from __future__ import annotations

import asyncio
from typing import Any

from limpet import Standalone

SHAPES = 12


async def all_outputs(task: Standalone[Any, Any], value: Any) -> list[Any]:
    """The outputs of one run for each way, the six blocking ones and the six awaited ones."""
    item = task.create_bulk_run_item(value)

    def blocking() -> list[Any]:
        return [
            task.run(value),
            task.run(value, wait_for_result=False).result(),
            task.run_no_wait(value).result(),
            *task.run_many([item]),
            *(ref.result() for ref in task.run_many([item], wait_for_result=False)),
            *(ref.result() for ref in task.run_many_no_wait([item])),
        ]

    return [
        *await asyncio.to_thread(blocking),
        await task.aio_run(value),
        await (await task.aio_run(value, wait_for_result=False)).aio_result(),
        await (await task.aio_run_no_wait(value)).aio_result(),
        *await task.aio_run_many([item]),
        *[await ref.aio_result() for ref in await task.aio_run_many([item], wait_for_result=False)],
        *[await ref.aio_result() for ref in await task.aio_run_many_no_wait([item])],
    ]
