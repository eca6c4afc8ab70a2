"""Applying changes to a content in memory: all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from limpet.core.claim_rows import ClaimRow
from limpet.core.decision import Changes
from limpet.core.ids import TenantNo
from limpet.core.rows import RunRow, TaskRow, TaskStatus
from limpet.core.timetable_rows import CronRow
from limpet.store.api import DataError
from limpet.store.memory.content import Content
from limpet.store.tables import Row, dropped_keys, misfit

ABSENT = object()


class Draft:
    """Changes that are being applied, with what it takes to undo them: an error on the way leaves the content as it was."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self.rows: int = 0

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for table, key, old in reversed(self._undo):
                if old is ABSENT:
                    del table[key]
                else:
                    table[key] = old

    def apply(self, tenant_no: TenantNo, changes: Changes) -> None:
        """All changes of a tenant, in the order of their lists."""
        content = self._content
        for workflow in changes.workflows:
            self._put(content.workflows, workflow, "workflow", {"id": workflow.id})
        for version in changes.versions:
            self._insert(content.versions, version, "version", {"id": version.id, f"of {version.workflow_key}": version.number})
        for worker in changes.workers:
            self._put(content.workers, worker, "worker", {"id": worker.id})
        for key in changes.workers_forgotten:
            self._forget(content.workers, key, "worker", _id_alone)
        for run in changes.runs_opened:
            self._insert(content.runs, run, "run", {"id": run.id, "child_ref": run.child_ref, "request_id": run.request_id})
        for run in changes.runs_changed:
            self._change(content.runs, run, "run", _changed_run)
        for task in changes.tasks_opened:
            self._insert(content.tasks, task, "task", {"id": task.id})
            self._append(content.tasks_of, task.run_key, task.key)
        for task in changes.tasks_changed:
            self._change(content.tasks, task, "task", _changed_task)
        for receipt in changes.receipts:
            self._insert(content.receipts, receipt, "receipt", {})
        for key in changes.receipts_folded:
            self._drop(content.receipts, key)
        for event in changes.events:
            self._insert(content.events, event, "event", {})
            self._append(content.events_of, event.task_key, event.key)
        self._apply_timetable(changes)
        for key in changes.rate_limits_dropped:
            self._forget(content.rate_limits, key, "rate limit", _name_alone)
        for rate_limit in changes.rate_limits:
            self._put(content.rate_limits, rate_limit, "rate limit", _name_alone(rate_limit))
        self._apply_claims_and_pauses(changes)
        self._apply_events(changes)
        self._apply_webhooks(changes)
        for wait in changes.waits:
            _demand_fit(wait, is_birth=True)
            others = (one for one in content.waits.get(wait.run_key, ()) if one.step != wait.step)
            self._set(content.waits, wait.run_key, tuple(sorted((wait, *others))))
            self.rows += 1
        self._raise_floor(tenant_no, dropped_keys(changes))

    def _apply_timetable(self, changes: Changes) -> None:
        content = self._content
        for key in changes.crons_dropped:
            self._forget(content.crons, key, "cron", _cron_names)
        for cron in changes.crons:
            self._put(content.crons, cron, "cron", _cron_names(cron))
        for key in changes.schedules_dropped:
            self._forget(content.schedules, key, "schedule", _id_alone)
        for schedule in changes.schedules:
            self._put(content.schedules, schedule, "schedule", _id_alone(schedule))

    def _apply_claims_and_pauses(self, changes: Changes) -> None:
        for key in changes.claims_dropped:
            self._forget(self._content.claims, key, "claim", claim_names)
        for claim in changes.claims:
            self._insert(self._content.claims, claim, "claim", claim_names(claim))
        for pause in changes.pauses:
            self._put(self._content.pauses, pause, "pause", {})

    def _apply_events(self, changes: Changes) -> None:
        content = self._content
        for event in changes.pushed_events:
            self._insert(content.pushed_events, event, "event", _id_alone(event))
        for started in changes.event_runs:
            self._insert(content.event_runs, started, "run of an event", {})
        for key in changes.filters_dropped:
            self._forget(content.filters, key, "filter", _id_alone)
        for one in changes.filters:
            self._put(content.filters, one, "filter", _id_alone(one))
        for failure in changes.expression_failures:
            self._insert(content.expression_failures, failure, "failure", {})

    def _apply_webhooks(self, changes: Changes) -> None:
        for key in changes.webhooks_dropped:
            self._forget(self._content.webhooks, key, "webhook", _name_alone)
        for webhook in changes.webhooks:
            self._put(self._content.webhooks, webhook, "webhook", _name_alone(webhook))

    def _insert(self, table: dict[int, Any], row: Any, kind: str, names: Mapping[str, object]) -> None:
        if row.key in table:
            raise DataError(f"There is a {kind} with key {row.key} already.")
        self._put(table, row, kind, names)

    def _put(self, table: dict[int, Any], row: Any, kind: str, names: Mapping[str, object]) -> None:
        _demand_fit(row, is_birth=True)
        for what, name in names.items():
            if name is not None:
                self._take_name((kind, row.tenant_no, what, name), row.key)
        self._set(table, row.key, row)
        self.rows += 1

    def _take_name(self, name: tuple[Any, ...], key: int) -> None:
        if self._content.names.get(name, key) != key:
            raise DataError(f"The {name[2]} {name[3]} of a {name[0]} is taken in tenant {name[1]}.")
        self._set(self._content.names, name, key)

    def _change(self, table: dict[int, Any], row: Any, kind: str, changed: Callable[[Any, Any], Any]) -> None:
        _demand_fit(row, is_birth=False)
        if row.key not in table:
            raise DataError(f"The {kind} row {row.key} to change is not in the store.")
        self._set(table, row.key, changed(table[row.key], row))
        self.rows += 1

    def _forget(self, table: dict[int, Any], key: int, kind: str, names: Callable[[Any], Mapping[str, object]]) -> None:
        row = table.get(key)
        if row is not None:
            for what, name in names(row).items():
                self._drop(self._content.names, (kind, row.tenant_no, what, name))
            self._drop(table, key)

    def _raise_floor(self, tenant_no: TenantNo, deleted: Collection[int]) -> None:
        if deleted:
            floors = self._content.key_floors
            self._set(floors, tenant_no, max(floors.get(tenant_no, 0), *deleted))

    def _append(self, table: dict[int, tuple[int, ...]], owner: int, key: int) -> None:
        self._set(table, owner, (*table.get(owner, ()), key))

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((table, key, table.get(key, ABSENT)))
        table[key] = value

    def _drop(self, table: dict[Any, Any], key: Any) -> None:
        if key in table:
            self._undo.append((table, key, table.pop(key)))
            self.rows += 1


def _id_alone(row: Any) -> Mapping[str, object]:
    return {"id": row.id}


def claim_names(row: ClaimRow) -> Mapping[str, object]:
    """What is unique about a claim."""
    return {"name": row.name}


def _name_alone(row: Any) -> Mapping[str, object]:
    return {"name": row.name}


def _cron_names(row: CronRow) -> Mapping[str, object]:
    return {"id": row.id, f"name of {row.workflow_key}": (row.name, row.expression)}


def _demand_fit(row: Row, *, is_birth: bool) -> None:
    problem = misfit(row, is_birth=is_birth)
    if problem is not None:
        raise DataError(problem)


def _changed_run(old: RunRow, new: RunRow) -> RunRow:
    return old._replace(
        status=new.status, pin_state=new.pin_state, pin_worker_id=new.pin_worker_id, pin_task_key=new.pin_task_key,
        started_at=new.started_at, finished_at=new.finished_at, stage=new.stage,
    )  # fmt: skip


def _changed_task(old: TaskRow, new: TaskRow) -> TaskRow:
    keeps_output = new.output is None and TaskStatus(new.status).is_terminal
    changed = TaskRow._make((*old[:6], *new[6:]))  # everything behind created_at
    return changed._replace(output=old.output) if keeps_output else changed
