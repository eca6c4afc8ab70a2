"""The durable part of a core's memory, in one canonical shape (D4): what rows say, and where each task stands."""

from __future__ import annotations

from typing import Any

from limpet.core.gates import Group, Subject, waiting_tasks
from limpet.core.machine import Machine
from limpet.core.records import Run, TaskRun, Worker
from limpet.core.rows import TaskStatus
from limpet.core.state import State
from limpet.core.waits import wait_row
from tests.simulation.pushing import NAMES, SCOPES


def durable(machine: Machine) -> dict[str, Any]:
    """Equal for two memories exactly when nothing that must last differs."""
    state = machine.state
    return {
        "workflows": {
            name: (flow.key, flow.id, flow.newest.key if flow.newest else None) for name, flow in state.workflows.items()
        },
        "workers": {worker.id: _worker(worker) for worker in state.workers.values()},
        "runs": {run.id: _run(state, run) for run in state.runs.values()},
        "tasks": {task.id: _task(state, task) for task in state.tasks.values()},
        "groups": {group.name: found for group in state.gates.groups.values() if any(found := _group(state, group))},
        "filters": {row.id: row for row in state.subscriptions.filters.values()},
        "subscriptions": _subscriptions(state),
        "waits": {wait.name: wait_row(wait, state.tenant_no) for wait in state.waits.all()},
        "listening": {key: sorted(waiting) for key, waiting in state.waits.listening().items()},
        "receipts": {key: live for key, live in state.receipts_open.items() if live},
    }


def _subscriptions(state: State) -> dict[str, Any]:
    """What events of the simulation start."""
    return {f"{name} {scope}": state.subscriptions.candidates(name, scope) for name in NAMES for scope in SCOPES}


def differences(mine: Machine, loaded: Machine) -> list[str]:
    """What memory has and a load would not give, or the other way round."""
    left, right = durable(mine), durable(loaded)
    found = []
    for part, value in left.items():
        if value == right[part]:
            continue
        if not isinstance(value, dict):
            found.append(f"{part}: memory {value}, loaded {right[part]}")
            continue
        other = right[part]
        unequal = (key for key in sorted({*value, *other}, key=str) if value.get(key) != other.get(key))
        found.extend(f"{part} {key}: memory {value.get(key)}, loaded {other.get(key)}" for key in unequal)
    return found


def _worker(worker: Worker) -> dict[str, Any]:
    return {
        "row": (worker.key, worker.name, sorted(worker.actions), worker.slots, worker.labels, worker.registered_at),
        "state": (worker.paused, worker.lost_at, worker.gone_at),
        "used": {kind: units for kind, units in worker.used.items() if units},
        "tasks": sorted(worker.tasks),
        "pinned": sorted(worker.pinned),
    }


def _group(state: State, group: Group) -> tuple[list[int], list[int]]:
    """Who is in and who waits, but for tasks past their deadline: those may have been set aside."""
    waiting = [subject for _, subject in group.waiting.values()]
    return sorted(group.held), sorted(one.key for one in waiting if _may_pass(state, one))


def _may_pass(state: State, subject: Subject) -> bool:
    return any(not _is_overdue(state, task) for task in waiting_tasks(subject))


def _is_overdue(state: State, task: TaskRun) -> bool:
    return task.due_by is not None and task.due_by <= state.now


def _run(state: State, run: Run) -> dict[str, Any]:
    return {
        "what": (run.key, run.version.key, run.priority, run.sticky, run.desired_worker_id, run.desired_labels, run.metadata),
        "pin": (run.pin_state, run.pin_worker_id, run.pin_task_key),
        "parent": (run.parent_run_id, run.parent_task_id, run.child_index, run.child_key, run.child_ref, run.request_id),
        "life": (run.status, run.created_at, run.started_at, run.finished_at, run.input_bytes),
        "gates": (run.keys, run.stage, run.at_gate and _may_pass(state, run)),
        "source": run.source,
        "tasks": {step: task.key for step, task in sorted(run.tasks.items())},
    }


def _task(state: State, task: TaskRun) -> dict[str, Any]:
    live = task.status.is_live
    queued = task.status is TaskStatus.QUEUED and not _is_overdue(state, task)
    return {
        "what": (task.key, task.run.key, task.step, task.created_at, task.level, task.enqueue_key, task.queued_at),
        "status": (task.status, task.retry_count, task.app_retries, task.internal_retries),
        "dates": (task.not_before, task.schedule_deadline, task.execution_deadline, task.assigned_at, task.finished_at),
        "attempt": (task.worker.id if task.worker and live else None, task.slots_released, task.started_at, task.receipt_key),
        "end": (task.output_bytes, task.error),
        "gates": (task.stage, task.at_gate and queued),
        "class": task.class_id if queued and task.in_queue else None,
    }


def _class_key(state: State, task: TaskRun) -> object:
    cls = state.queue_of(task)
    return None if cls is None else cls.key
