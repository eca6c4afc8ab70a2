"""Assertions about where and when tasks ran. Each waits a little, and says on failure what the engine says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from limpet.core.rows import TaskRow, TaskStatus
from limpet.store.api import RunRecord
from limpet.testing.embedded import EmbeddedEngine
from limpet.testing.fake_worker import FakeWorker

PATIENCE_S = 10.0
POLL_S = 0.005  # in-process reads cost microseconds


def wait_until_run(engine: EmbeddedEngine, run_id: str, holds: Callable[[RunRecord], bool], what: str) -> RunRecord:
    """Wait until the condition holds for the run; on time-out fail with the explanation of every waiting task."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        record = engine.run(run_id)
        if record is not None and holds(record):
            return record
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_S:g} s for: {what}\n{explain_run(engine, run_id)}")
        time.sleep(POLL_S)


def wait_until_ended(engine: EmbeddedEngine, run_id: str) -> RunRecord:
    """Wait until the run has ended, however."""
    return wait_until_run(engine, run_id, lambda r: r.run.finished_at is not None, f"run {run_id} has ended")


def explain_run(engine: EmbeddedEngine, run_id: str) -> str:
    """A line per task: its state, its worker, and why it waits if it does."""
    record = engine.run(run_id)
    if record is None:
        return f"  there is no run {run_id}"
    from limpet.core.definition_text import decode_definition

    steps = decode_definition(record.version.definition).steps
    return "\n".join(f"  {steps[task.step].name}: {_state_of(engine, task)}" for task in record.tasks)


def _state_of(engine: EmbeddedEngine, task: TaskRow) -> str:
    status = TaskStatus(task.status)
    text = f"{status.name}, attempt {task.retry_count + 1}, worker {engine.worker_name(task.worker_key)}"
    if status.is_terminal:
        return text + (f", error: {task.error}" if task.error else "")
    explanation = engine.explain(task.id)
    hints = " ".join(explanation.unblock)
    return f"{text}; {explanation.outlook}: {explanation.text} {hints}".rstrip()


def assert_ran_on(engine: EmbeddedEngine, run_id: str, worker: FakeWorker | str) -> None:
    """All tasks of the run ran on that worker (a FakeWorker, or a worker's name or id)."""
    record = wait_until_ended(engine, run_id)
    wanted = worker.name if isinstance(worker, FakeWorker) else worker
    known = {w.worker_id: w.name for w in engine.engine.workers(engine.tenant_id)}
    names = {engine.worker_name(task.worker_key) for task in record.tasks if task.assigned_at is not None}
    assert names == {known.get(wanted, wanted)}, f"run {run_id} ran on {sorted(names)}\n{explain_run(engine, run_id)}"


def assert_same_worker(engine: EmbeddedEngine, *run_ids: str) -> None:
    """All tasks of all runs ran on one worker."""
    records = [wait_until_ended(engine, run_id) for run_id in run_ids]
    keys = {task.worker_key for record in records for task in record.tasks if task.assigned_at is not None}
    explained = "\n".join(explain_run(engine, run_id) for run_id in run_ids)
    assert len(keys) == 1, f"the runs used {len(keys)} workers\n{explained}"


def assert_order(engine: EmbeddedEngine, run_ids: Iterable[str]) -> None:
    """The runs were given to workers in this order."""
    wanted = list(run_ids)
    records = [wait_until_run(engine, i, lambda r: r.run.started_at is not None, f"run {i} has started") for i in wanted]
    actual = [record.run.id for record in sorted(records, key=lambda r: (r.run.started_at or 0, r.tasks[0].assigned_at or 0))]
    assert [r.run.started_at for r in records] == sorted(r.run.started_at or 0 for r in records), f"they started as {actual}"


def assert_waiting(engine: EmbeddedEngine, run_id: str, *, because: str | None = None) -> None:
    """A task of the run waits; `because`: for that reason, a code of `limpet.core.explain.Reason`."""

    def waits(record: RunRecord) -> bool:
        waiting = [task for task in record.tasks if TaskStatus(task.status) in (TaskStatus.QUEUED, TaskStatus.BACKING_OFF)]
        return any(because is None or engine.explain(task.id).reason == because for task in waiting)

    wait_until_run(engine, run_id, waits, f"a task of run {run_id} waits" + (f" because of {because}" if because else ""))
