"""Whether two cores remember the same: the durable part of memory, and what follows from it (D4, R4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limpet.core.machine import Machine
from limpet.core.rate_rows import as_of
from limpet.core.rows import TaskStatus
from limpet.core.state import run_row, task_row, worker_row
from limpet.core.waits import wait_row
from limpet.testing.tables import Tables, kept

Facts = dict[tuple[str, Any], Any]


def differences(one: Machine, other: Machine) -> list[str]:
    """A sentence for each fact that differs; empty when both mean the same."""
    left, right = dict(_facts(one)), dict(_facts(other))
    return [
        f"{kind} {name}: {left.get((kind, name))} became {right.get((kind, name))}"
        for kind, name in sorted({*left, *right}, key=repr)
        if left.get((kind, name)) != right.get((kind, name))
    ]


def _facts(machine: Machine) -> Iterator[tuple[tuple[str, Any], Any]]:
    state, no = machine.state, machine.state.tenant_no
    for name, workflow in state.workflows.items():
        newest = None if workflow.newest is None else workflow.newest.key
        yield ("workflow", name), (workflow.key, workflow.id, newest)
        yield ("pause", name), (workflow.pause, list(workflow.parked))
    for worker in state.workers.values():
        row = worker_row(worker, no)._replace(seen_at=None)  # lives in memory only (R10)
        yield ("worker", worker.name), row
        yield ("used slots of", worker.id), {kind: units for kind, units in worker.used.items() if units}
        yield ("tasks of", worker.id), sorted(worker.tasks)
        yield ("runs pinned to", worker.id), sorted(worker.pinned)
    for run in state.runs.values():
        yield ("run", run.id), (run_row(run, no)._replace(input=None), run.source)
        for task in run.tasks.values():
            row_of_task = task_row(task, no)._replace(output=None)
            if task.status.is_terminal:
                row_of_task = row_of_task._replace(worker_key=None)  # its worker may be forgotten by now
            yield ("task", task.id), (row_of_task, task.status is TaskStatus.RUNNING, task.started_at, task.in_queue, task.due_by)
    yield ("queues", ""), sorted((cls.id, cls.size) for cls in state.classes.values() if cls.size)
    for group in state.gates.groups.values():
        yield ("group", group.name), (sorted(group.held), sorted(group.waiting))
    yield ("webhooks", ""), sorted(state.webhooks.items())
    for bucket in state.rates.buckets.values():  # its row is read by the next step; who names it is known
        if bucket.uses:
            yield ("uses of rate limit", bucket.name), bucket.uses
    yield ("filters", ""), sorted(state.subscriptions.filters.values())
    for wait in state.waits.all():
        yield ("wait", wait.name), wait_row(wait, no)
    for wait, decided in state.waits.ripe.values():
        yield ("ripe", wait.name), decided
    yield ("looking", ""), sorted(state.waits.looking)
    for key, waiting in state.waits.listening().items():
        yield ("waiting for event", key), sorted(waiting)
    yield ("receipts", ""), sorted((key, live) for key, live in state.receipts_open.items() if live)


def unsaved(machine: Machine, tables: Tables) -> list[str]:
    """A sentence for each row that memory would write differently from what is committed."""
    state, no = machine.state, machine.state.tenant_no
    pairs: list[tuple[Any, Any]] = []
    for worker in state.workers.values():
        row = tables.workers[worker.key]
        pairs.append((row, worker_row(worker, no)._replace(seen_at=row.seen_at)))
    for run in state.runs.values():
        run_committed = tables.runs[run.key]
        pairs.append((run_committed, kept(run_committed, run_row(run, no))))
        for task in run.tasks.values():
            task_committed = tables.tasks[task.key]
            pairs.append((task_committed, task_row(task, no)._replace(output=task_committed.output)))
    for bucket in machine.state.rates.buckets.values():
        if bucket.is_read:
            stored = next((as_of(row, state.now) for row in tables.rate_limits.values() if row.name == bucket.name), None)
            pairs.append((stored, as_of(bucket.row(no), state.now) if bucket.exists else None))
    pairs += [(tables.waits[wait.name], wait_row(wait, no)) for wait in state.waits.all()]
    return [f"committed {committed}\nin memory {row}" for committed, row in pairs if committed != row]
