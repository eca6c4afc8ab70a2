"""What the loop itself costs an input: an almost empty core and the memory store, so that little else is measured.

    python -m bench.engine_loop [--inputs 200000] [--callers 200]

Each caller submits one input after the other and awaits its reply, as an edge does. Prints microseconds of wall
clock an input, and the size of a batch, for inputs that change nothing, write one row, and send one start.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence

from limpet.core.decision import Changes, Decision, Delivery, PayloadRef, StartTask
from limpet.core.explain import Explanation
from limpet.core.ids import ActionId, Instant, RunKey, TaskKey, TaskRunId, TenantId, TenantNo, WorkerId, WorkflowRunId, first_key
from limpet.core.inputs import Input, RunsTriggered, TaskCompleted, Trigger, WorkerSeen
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.rows import EventRow, EventType, RunRow, TaskRow
from limpet.core.settings import Settings
from limpet.core.views import WorkerView
from limpet.engine.clock import SystemClock
from limpet.engine.engine import Engine
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.engine.settings import EngineSettings
from limpet.store.memory import MemoryStore

NO_NEEDS = Needs()
KINDS: dict[str, Input] = {
    "nothing changes": WorkerSeen("w"),
    "one row": TaskCompleted("t", 0, "w", b"{}"),
    "one row, one start": RunsTriggered((Trigger("w", b'{"a":1}'),)),
}


class IdleCore:
    """Decides next to nothing: a row for an outcome, a run and its start for a trigger."""

    def __init__(self, tenant_no: TenantNo, next_key: int) -> None:
        self._tenant_no, self._key = tenant_no, max(next_key, first_key(tenant_no))
        self.steps = 0

    @classmethod
    def load(
        cls, snapshot: Snapshot, *, tenant_no: TenantNo, now: Instant, salt: bytes,
        settings: Settings | None = None, seen: dict[str, int] | None = None,
    ) -> IdleCore:  # fmt: skip
        return cls(tenant_no, snapshot.next_key)

    def needs(self, inputs: Sequence[Input]) -> Needs:
        return NO_NEEDS

    def step(self, inputs: Sequence[Input], now: Instant, found: Found | None = None) -> Decision:
        self.steps += 1
        changes, deliveries = Changes(), list[Delivery]()
        for item in inputs:
            kind = type(item)
            if kind is TaskCompleted:
                key = self._next()
                changes.events.append(EventRow(key, self._tenant_no, key, 0, now, EventType.FINISHED, None, ""))
            elif kind is RunsTriggered:
                self._start(changes, deliveries, item.items[0], now)  # type: ignore[union-attr]
        return Decision(changes, [None] * len(inputs), deliveries, None)

    def _start(self, changes: Changes, deliveries: list[Delivery], one: Trigger, now: Instant) -> None:
        key = self._next()
        row_id = f"{key:036d}"
        changes.runs_opened.append(
            RunRow(
                key, row_id, self._tenant_no, 1, 1, 2, one.input, len(one.input), b"{}", 1, None, None, None, 0, None, None,
                None, None, None, None, None, None, now, now, now,
            )
        )  # fmt: skip
        changes.tasks_opened.append(
            TaskRow(
                key, row_id, self._tenant_no, key, 0, now, 3, 0, 0, 0, 1, 0, key, now, None, None, None, now, None, 0,
                None, None, None, 0, None,
            )
        )  # fmt: skip
        deliveries.append(
            StartTask(
                WorkerId("w"), TaskKey(key), TaskRunId(row_id), RunKey(key), WorkflowRunId(row_id), ActionId("w:t"), "t", 0, 1,
                "w", "v", b"{}", now, PayloadRef(key, "", of_run=True),
            )
        )  # fmt: skip

    def _next(self) -> int:
        self._key += 1
        return self._key

    wake_at: Instant | None = None

    def workers(self) -> list[WorkerView]:
        return []

    def worker(self, worker_id: str) -> WorkerView | None:
        return None

    def started_at(self, task_run_ids: Sequence[str]) -> dict[str, int]:
        return {}

    def explain(self, task_run_id: str, now: Instant) -> Explanation | None:
        return None

    def check(self) -> list[str]:
        return []


class NoStreams:
    """Takes every delivery."""

    def deliver(self, tenant: TenantId, deliveries: Sequence[Delivery]) -> list[tuple[str, int]]:
        return []

    def wants_result(self, tenant: TenantId, workflow_run_id: str) -> bool:
        return False

    def end_all(self, reason: str) -> None:
        return None


async def measure(item: Input, inputs: int, callers: int) -> tuple[float, float]:
    """Microseconds an input, and inputs a step."""
    engine = Engine(MemoryStore(), NoStreams(), SystemClock(), EngineSettings(), load_core=IdleCore.load)
    await engine.start()

    async def call() -> None:
        for _ in range(inputs // callers):
            await engine.submit(DEFAULT_TENANT_ID, item)

    began = time.perf_counter()
    await asyncio.gather(*[call() for _ in range(callers)])
    took = time.perf_counter() - began
    batches = engine.metrics.registry.get_sample_value("limpet_batch_inputs_count") or 1
    await engine.stop()
    return took * 1e6 / inputs, inputs / batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--callers", type=int, default=200)
    options = parser.parse_args()
    for name, item in KINDS.items():
        microseconds, batch = asyncio.run(measure(item, options.inputs, options.callers))
        print(f"{name:22} {microseconds:7.2f} us an input   {batch:6.1f} inputs a batch")


if __name__ == "__main__":
    main()
