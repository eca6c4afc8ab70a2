"""A client of the soak: triggers runs at a steady rate until it is told to stop, and writes down what it was told.

`python -m tests.soak.programs.client KIND RATE SEED`. A line on standard input ends the triggering; the process ends when
every result it waits for has come.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.compatibility.programs import journal
from tests.soak.programs.flow import Names, put_limit
from tests.soak.programs.work import FAILS_BY_PLAN, KINDS, Order, build, client_of, sdk_of

WAITS_MAX_S = 150.0


class Client:
    """Triggers and waits; everything acknowledged stands in the journal."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.rng = kind, Random(seed)
        self.client, self.names = client_of(kind), Names(kind)
        self.workflows = build(kind, self.client)
        self.number = 0
        self.pending: set[asyncio.Task[None]] = set()
        self._asks = {"heard": self._push, "later": self._schedule, "waits": self._wait_and_push}

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        await put_limit(self.kind, sdk_of(self.kind), self.client)
        while not stop.is_set():
            self.number += 1
            task = asyncio.create_task(self.one(self.number, self.rng.choice(KINDS), self.rng.uniform(0.2, 3.0)))
            self.pending.add(task)
            task.add_done_callback(self.pending.discard)
            await asyncio.sleep(self.rng.expovariate(rate))
        if self.pending:
            await asyncio.wait(self.pending, timeout=WAITS_MAX_S)

    async def one(self, number: int, what: str, seconds: float) -> None:
        """One run, from what starts it to its result."""
        facts = {"client": self.kind, "number": number, "what": what}
        journal.write("asked", **facts)
        try:
            await self._asks.get(what, self._trigger)(Order(number=number, seconds=seconds), facts)
        except Exception as error:  # a trigger that failed may have taken effect all the same (P4)
            journal.write("refused", error=f"{type(error).__name__}: {error}"[:300], **facts)

    async def _trigger(self, order: Order, facts: dict[str, Any]) -> None:
        reference = await self._triggered(order, facts)
        await self._result(reference, facts)

    async def _triggered(self, order: Order, facts: dict[str, Any]) -> Any:
        reference = await self.workflows[facts["what"]].aio_run(
            order, wait_for_result=False, priority=self.rng.choice((1, 2, 3)), additional_metadata=self._mark(order)
        )
        facts["run"] = reference.workflow_run_id
        journal.write("acknowledged", **facts)
        return reference

    async def _wait_and_push(self, order: Order, facts: dict[str, Any]) -> None:
        """The run waits for an event; one that is acknowledged after its trigger must reach it (E1)."""
        reference = await self._triggered(order, facts)
        await self._push_for_certain(self.names.go, order)
        await self._result(reference, facts)

    async def _push(self, order: Order, facts: dict[str, Any]) -> None:
        """Two workflows start on it."""
        event = await self.client.event.aio_push(self.names.heard, order.model_dump(), additional_metadata=self._mark(order))
        journal.write("pushed", event=event.event_id, **facts)

    async def _push_for_certain(self, key: str, order: Order) -> None:
        """Again and again, until it is acknowledged."""
        while True:
            try:
                await self.client.event.aio_push(key, order.model_dump())
                return
            except Exception:  # whatever the fault was
                await asyncio.sleep(0.5)

    async def _schedule(self, order: Order, facts: dict[str, Any]) -> None:
        """It starts within the seconds of the order; until then this client does not end."""
        at = datetime.now(UTC) + timedelta(seconds=order.seconds)
        await self.workflows["later"].aio_schedule(at, order, additional_metadata=self._mark(order))
        journal.write("scheduled", **facts)
        await asyncio.sleep(order.seconds)

    def _mark(self, order: Order) -> dict[str, str]:
        """By which the auditor knows the runs."""
        return {"client": self.kind, "number": str(order.number)}

    async def _result(self, reference: Any, facts: dict[str, Any]) -> None:
        try:
            result = await reference.aio_result()
        except Exception as error:
            kind = "failed" if facts["what"] in FAILS_BY_PLAN or facts["what"] == "hard" else "failed unplanned"
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
