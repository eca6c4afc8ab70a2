"""What the core alone costs a task: 10 workers against 1,000, a short queue against a long one.

    python -m bench.assignment [--runs 3] [--rounds 60]

The real core without sockets and store, driven as a busy engine drives it: each step 200 tasks end and 200 are triggered,
so all slots stay taken and the queue keeps its length. Every worker has labels. "plain" tasks have no wishes; "labels"
tasks demand one of ten zones and prefer one of eight disks. The cost is a step's CPU time by the tasks it let through.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import time
from collections import deque
from dataclasses import dataclass

import psutil

from bench.results import Report
from limpet.core.decision import StartTask
from limpet.core.definitions import DesiredLabel
from limpet.core.ids import Instant, TenantNo, first_key
from limpet.core.inputs import (
    Input,
    RunsTriggered,
    StreamOpened,
    TaskCompleted,
    Trigger,
    WorkerRegistered,
    WorkerSeen,
    WorkflowPut,
)
from limpet.core.machine import Machine
from limpet.core.needs import Snapshot
from limpet.testing.builders import demand, make_workflow, wish

BATCH = 200
SLOTS = 10_000  # of all workers together, so that only their number differs
ZONES, DISKS = 10, 8
TENANT = TenantNo(1)
WORKERS_FEW, WORKERS_MANY = 10, 1_000
QUEUE_SHORT, QUEUE_LONG = 1_000, 100_000
STEP_US = 5_000  # what the clock moves in a step


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured."""

    workers: int
    queued: int
    has_labels: bool

    def triggers(self, count: int, first: int) -> RunsTriggered:
        """So many tasks, their wishes in turn."""
        return RunsTriggered(tuple(Trigger("w", b"{}", desired_labels=self._labels(n)) for n in range(first, first + count)))

    def _labels(self, number: int) -> tuple[DesiredLabel, ...]:
        return LABELS[number % len(LABELS)] if self.has_labels else ()


LABELS = [(demand("zone", f"z{n % ZONES}"), wish("disk", f"d{n % DISKS}", weight=50)) for n in range(ZONES * DISKS)]


class Tenant:
    """One core with all its slots taken and a queue behind them."""

    def __init__(self, case: Case) -> None:
        self.case, self.now = case, Instant(1_750_000_000_000_000)
        snapshot = Snapshot(first_key(TENANT), [], [], [], [], [], [])
        self.machine = Machine.load(snapshot, tenant_no=TENANT, now=self.now, salt=b"bench-salt-16-by")
        self.running: deque[StartTask] = deque()
        self._workers: list[str] = []
        self._triggered = itertools.count(0, BATCH)
        self.step(WorkflowPut(make_workflow("w", "t")))
        for number in range(case.workers):
            self._connect(number)
        self._trigger(SLOTS)
        assert len(self.running) == SLOTS, f"{len(self.running)} of {SLOTS} slots are taken"
        self.base_mb = _rss_mb()
        self._trigger(case.queued)
        self.full_mb = _rss_mb()

    def step(self, *inputs: Input) -> None:
        """One step; the world only remembers what was started."""
        self.now = Instant(self.now + STEP_US)
        decision = self.machine.step(inputs, self.now)
        self.running.extend(one for one in decision.deliveries if isinstance(one, StartTask))

    def turn(self) -> None:
        """200 end, 200 come."""
        ended = [self.running.popleft() for _ in range(BATCH)]
        done = [TaskCompleted(one.task_run_id, one.retry_count, one.worker_id, b"{}") for one in ended]
        self.step(*done, self.case.triggers(BATCH, next(self._triggered)))

    def beat(self) -> None:
        """All workers give a sign of life; not measured."""
        self.step(*(WorkerSeen(worker) for worker in self._workers))

    def _connect(self, number: int) -> None:
        labels = (("zone", f"z{number % ZONES}"), ("disk", f"d{number // ZONES % DISKS}"), ("number", number))
        registered = WorkerRegistered(f"w{number}", (ACTION,), (("default", SLOTS // self.case.workers),), labels)
        self.now = Instant(self.now + STEP_US // 100)
        worker_id = self.machine.step([registered], self.now).replies[0]
        assert isinstance(worker_id, str)
        self._workers.append(worker_id)
        self.machine.step([StreamOpened(worker_id, number + 1)], self.now)

    def _trigger(self, count: int) -> None:
        for _ in range(count // BATCH):
            self.step(self.case.triggers(BATCH, next(self._triggered)))
            if _ % 100 == 0:
                self.beat()


ACTION = make_workflow("w", "t").steps[0].action_id


def measure(case: Case, rounds: int) -> tuple[float, float]:
    """Microseconds a task, and bytes of memory for each queued one."""
    tenant = Tenant(case)
    gc.collect()
    gc.freeze()  # as the engine does once its memory is loaded
    took = 0.0
    for number in range(rounds):
        if number % 100 == 0:
            tenant.beat()
        began = time.process_time()
        tenant.turn()
        took += time.process_time() - began
    assert len(tenant.running) == SLOTS, "the slots must stay taken"
    gc.unfreeze()
    return took * 1e6 / (rounds * BATCH), (tenant.full_mb - tenant.base_mb) * 1e6 / case.queued


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    report = Report("assignment")
    long = [measure(Case(WORKERS_FEW, QUEUE_LONG, has_labels=False), options.rounds) for _ in range(options.runs)]
    report.figure(f"plain.{WORKERS_FEW}_workers.{QUEUE_LONG}_queued.us_per_task", [cost for cost, _ in long], "us")
    # Memory given back by one run is used again by the next, so only the first one shows what it takes.
    report.figure("bytes_per_queued_task", [long[0][1]], "B")
    for kind, workers in itertools.product(("plain", "labels"), (WORKERS_FEW, WORKERS_MANY)):
        case = Case(workers, QUEUE_SHORT, has_labels=kind == "labels")
        runs = [measure(case, options.rounds)[0] for _ in range(options.runs)]
        report.figure(f"{kind}.{workers}_workers.{QUEUE_SHORT}_queued.us_per_task", runs, "us")
    report.save()


if __name__ == "__main__":
    main()
