"""A client of the soak: triggers runs at a steady rate until it is told to stop, and writes down what it was told.

`python -m tests.soak.programs.client KIND RATE SEED`. A line on standard input ends the triggering; the process ends when
every result it waits for has come.
"""

from __future__ import annotations

import asyncio
import sys
from random import Random
from typing import Any

from tests.compatibility.programs import journal
from tests.soak.programs.work import FAILS_BY_PLAN, KINDS, Order, build, client_of

WAITS_MAX_S = 150.0


class Client:
    """Triggers and waits; everything acknowledged stands in the journal."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.rng = kind, Random(seed)
        self.workflows = build(kind, client_of(kind))
        self.number = 0
        self.pending: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.number += 1
            task = asyncio.create_task(self.one(self.number, self.rng.choice(KINDS), self.rng.uniform(0.2, 3.0)))
            self.pending.add(task)
            task.add_done_callback(self.pending.discard)
            await asyncio.sleep(self.rng.expovariate(rate))
        if self.pending:
            await asyncio.wait(self.pending, timeout=WAITS_MAX_S)

    async def one(self, number: int, what: str, seconds: float) -> None:
        """One run, from the trigger to its result."""
        facts = {"client": self.kind, "number": number, "what": what}
        journal.write("asked", **facts)
        try:
            reference = await self.workflows[what].aio_run(
                Order(number=number, seconds=seconds),
                wait_for_result=False,
                priority=self.rng.choice((1, 2, 3)),
                additional_metadata={"client": self.kind, "number": str(number)},
            )
        except Exception as error:  # a trigger that failed may have taken effect all the same (P4)
            journal.write("refused", error=f"{type(error).__name__}: {error}"[:300], **facts)
            return
        facts["run"] = reference.workflow_run_id
        journal.write("acknowledged", **facts)
        await self._result(reference, what, facts)

    async def _result(self, reference: Any, what: str, facts: dict[str, Any]) -> None:
        try:
            result = await reference.aio_result()
        except Exception as error:
            kind = "failed" if what in FAILS_BY_PLAN or what == "hard" else "failed unplanned"
            journal.write(kind, error=f"{type(error).__name__}: {error}"[:300], **facts)
        else:
            journal.write("result", value=result if isinstance(result, dict) else {}, **facts)


async def main() -> None:
    """Until a line comes."""
    kind, rate, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    stop = asyncio.Event()
    reading = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    reading.add_done_callback(lambda _: stop.set())
    await Client(kind, seed).run(rate, stop)


if __name__ == "__main__":
    asyncio.run(main())
