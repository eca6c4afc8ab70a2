"""A client process: `python -m bench.programs.client limpet`. A JSON line in says what to do, one out what it took.

{"do": "bulk", "tasks": 10000, "items": 100, "open": 16}    trigger in bulk, await every result
{"do": "single", "tasks": 5000, "callers": 100}             callers that each await one run after the other
{"do": "latency", "samples": 300, "pause_s": 0.02}          one run after the other on an idle engine
{"do": "trigger", "tasks": 100000, "items": 1000}           trigger only
{"do": "collect", "tasks": 5000}                            await that many of the runs triggered, oldest first
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bench.programs.tasks import Done, Order, declare

TRIGGERS_OPEN = 4  # bulk calls under way while a backlog is made


class Client:
    """Carries out one command after the other, in one event loop."""

    def __init__(self, sdk: str) -> None:
        _, self._task = declare(sdk)
        self._triggered: deque[Any] = deque()

    async def carry_out(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do it; the answer has `seconds` at least."""
        shapes: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            "bulk": self.bulk, "single": self.single, "latency": self.latency, "trigger": self.trigger, "collect": self.collect,
        }  # fmt: skip
        shape = shapes[command.pop("do")]
        began = time.perf_counter()
        answer = await shape(**command)
        return {"seconds": time.perf_counter() - began, **answer}

    async def bulk(self, tasks: int, items: int, open: int) -> dict[str, Any]:
        """At most `open` trigger calls at a time; results are awaited beside them."""
        room = asyncio.Semaphore(open)

        async def one() -> None:
            async with room:
                references = await self._trigger(items)
            await asyncio.gather(*(reference.aio_result() for reference in references))

        await _all(one() for _ in range(tasks // items))
        return {}

    async def single(self, tasks: int, callers: int) -> dict[str, Any]:
        """Each caller waits for its result before the next call."""

        async def call() -> None:
            for _ in range(tasks // callers):
                await self._task.aio_run(Order())

        await _all(call() for _ in range(callers))
        return {}

    async def latency(self, samples: int, pause_s: float) -> dict[str, Any]:
        """Milliseconds from the call to the first line of the body, and to the result."""
        starts, results = [], []
        for _ in range(samples):
            called_ns = time.monotonic_ns()
            done = await self._task.aio_run(Order())
            results.append(round((time.monotonic_ns() - called_ns) / 1e6, 3))
            starts.append(round((Done.model_validate(done).started_ns - called_ns) / 1e6, 3))
            await asyncio.sleep(pause_s)  # the engine is idle again
        return {"start_ms": starts, "result_ms": results}

    async def trigger(self, tasks: int, items: int) -> dict[str, Any]:
        """Make a backlog."""
        room = asyncio.Semaphore(TRIGGERS_OPEN)

        async def one() -> None:
            async with room:
                self._triggered.extend(await self._trigger(items))

        await _all(one() for _ in range(tasks // items))
        return {}

    async def collect(self, tasks: int) -> dict[str, Any]:
        """Await results; the time begins with the first one, so that the start of a worker is not in it."""
        results = [asyncio.ensure_future(self._triggered.popleft().aio_result()) for _ in range(tasks)]
        await results[0]
        began = time.perf_counter()
        await asyncio.gather(*results)
        return {"seconds": time.perf_counter() - began}

    async def _trigger(self, items: int) -> list[Any]:
        batch = [self._task.create_bulk_run_item(Order()) for _ in range(items)]
        references: list[Any] = await self._task.aio_run_many(batch, wait_for_result=False)
        return references


async def _all(work: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for one in list[Coroutine[Any, Any, None]](work):
            group.create_task(one)


async def main() -> None:
    """Until the input ends."""
    client = Client(sys.argv[1])
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await client.carry_out(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
