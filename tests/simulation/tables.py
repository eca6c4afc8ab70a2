"""Rows as a store keeps them, and how one commit changes them. Every change can be undone, for stores that go back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from limpet.core.claim_rows import ClaimRow
from limpet.core.condition_rows import WaitRow, of_runs
from limpet.core.decision import Changes
from limpet.core.event_rows import EventRunRow, FilterRow, PushedEventRow
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import ReceiptRow, RunRow, RunStatus, TaskRow, TaskStatus, VersionRow, WorkerRow, WorkflowRow
from limpet.core.timetable_rows import CronRow, ScheduleRow, answer, first_due
from limpet.testing.tables import newest_like
from tests.simulation.condition_choice import answer as answer_of
from tests.simulation.slots import slot_of

Undo = list[tuple[dict[Any, Any], Any, Any]]
_ABSENT: Any = object()


class Broken(Exception):
    """A commit that no table with keys and unique columns would take."""


class Tables:
    """All rows of one tenant, by key, and the unique columns."""

    def __init__(self) -> None:
        self.workflows: dict[int, WorkflowRow] = {}
        self.versions: dict[int, VersionRow] = {}
        self.workers: dict[int, WorkerRow] = {}
        self.runs: dict[int, RunRow] = {}
        self.tasks: dict[int, TaskRow] = {}
        self.receipts: dict[int, ReceiptRow] = {}
        self.crons: dict[int, CronRow] = {}
        self.schedules: dict[int, ScheduleRow] = {}
        self.rate_limits: dict[int, RateLimitRow] = {}
        self.pushed_events: dict[int, PushedEventRow] = {}
        self.event_keys: dict[str, int] = {}
        self.event_runs: dict[int, EventRunRow] = {}
        self.filters: dict[int, FilterRow] = {}
        self.waits: dict[tuple[int, int], WaitRow] = {}
        self.claims: dict[int, ClaimRow] = {}
        self.pauses: dict[int, PauseRow] = {}
        self.claim_keys: dict[bytes, int] = {}
        self.steps: dict[int, dict[int, int]] = {}  # run key: step: task key
        self.run_keys: dict[str, int] = {}
        self.task_keys: dict[str, int] = {}
        self.worker_keys: dict[str, int] = {}
        self.refs: dict[str, str] = {}
        self.slots: dict[tuple[int, str, str], str] = {}  # of crons, and the runs they started (I3)
        self.requests: dict[str, str] = {}
        self.open_runs: dict[int, None] = {}
        self.last: dict[str, int] = {"key": 0}

    def apply(self, changes: Changes) -> Undo:
        """Carry out one commit's changes; raises `Broken` and leaves nothing behind when they cannot be."""
        undo: Undo = []
        try:
            self._apply(changes, undo)
        except Broken:
            undone(undo)
            raise
        return undo

    def _apply(self, changes: Changes, undo: Undo) -> None:
        for workflow in changes.workflows:
            self._put(undo, self.workflows, workflow.key, workflow)
            self._saw_key(undo, workflow.key)
        for version in changes.versions:
            self._insert(undo, self.versions, version.key, version)
            self._saw_key(undo, version.key)
        for worker in changes.workers:
            self._put(undo, self.workers, worker.key, worker)
            self._saw_key(undo, worker.key)
            self._put(undo, self.worker_keys, worker.id, worker.key)
        for key in changes.workers_forgotten:
            self._remove(undo, self.worker_keys, self.workers[key].id)
            self._remove(undo, self.workers, key)
        for run in changes.runs_opened:
            self._open_run(undo, run)
        for run in changes.runs_changed:
            self._change_run(undo, run)
        for task in changes.tasks_opened:
            self._open_task(undo, task)
        for task in changes.tasks_changed:
            self._change_task(undo, task)
        for receipt in changes.receipts:
            self._insert(undo, self.receipts, receipt.key, receipt)
            self._saw_key(undo, receipt.key)
        for key in changes.receipts_folded:
            self._remove(undo, self.receipts, key)
        self._apply_timetable(changes, undo)
        self._apply_rate_limits(changes, undo)
        self._apply_events(changes, undo)
        for wait in changes.waits:
            self._put(undo, self.waits, wait.key, wait)
        self._apply_claims(changes, undo)
        if changes.events:
            self._saw_key(undo, max(event.key for event in changes.events))

    def _apply_timetable(self, changes: Changes, undo: Undo) -> None:
        for key in changes.crons_dropped:
            self._remove(undo, self.crons, key)
        for cron in changes.crons:
            self._put(undo, self.crons, cron.key, cron)
            self._saw_key(undo, cron.key)
        for key in changes.schedules_dropped:
            self._remove(undo, self.schedules, key)
        for schedule in changes.schedules:
            self._put(undo, self.schedules, schedule.key, schedule)
            self._saw_key(undo, schedule.key)

    def _apply_rate_limits(self, changes: Changes, undo: Undo) -> None:
        for key in changes.rate_limits_dropped:
            self._remove(undo, self.rate_limits, key)
        for row in changes.rate_limits:
            if any(one.name == row.name and one.key != row.key for one in self.rate_limits.values()):
                raise Broken(f"a second rate limit {row.name}")
            self._put(undo, self.rate_limits, row.key, row)
            self._saw_key(undo, row.key)

    def _apply_events(self, changes: Changes, undo: Undo) -> None:
        for event in changes.pushed_events:
            self._insert(undo, self.pushed_events, event.key, event)
            self._insert(undo, self.event_keys, event.id, event.key)
            self._saw_key(undo, event.key)
        for started in changes.event_runs:
            self._insert(undo, self.event_runs, started.key, started)
        for key in changes.filters_dropped:
            self._remove(undo, self.filters, key)
        for one in changes.filters:
            self._put(undo, self.filters, one.key, one)
            self._saw_key(undo, one.key)

    def _apply_claims(self, changes: Changes, undo: Undo) -> None:
        for key in changes.claims_dropped:
            if key in self.claims:
                self._remove(undo, self.claim_keys, self.claims[key].name)
                self._remove(undo, self.claims, key)
        for claim in changes.claims:
            self._insert(undo, self.claim_keys, claim.name, claim.key)
            self._insert(undo, self.claims, claim.key, claim)
        for pause in changes.pauses:
            self._put(undo, self.pauses, pause.key, pause)

    def _open_run(self, undo: Undo, run: RunRow) -> None:
        self._insert(undo, self.runs, run.key, run)
        self._saw_key(undo, run.key)
        self._insert(undo, self.run_keys, run.id, run.key)
        if run.child_ref is not None:
            self._insert(undo, self.refs, run.child_ref, run.id)
        if run.request_id is not None:
            self._insert(undo, self.requests, run.request_id, run.id)
        if (slot := slot_of(run)) is not None:
            self._insert(undo, self.slots, slot, run.id)
        self._note_open(undo, run)

    def _change_run(self, undo: Undo, run: RunRow) -> None:
        old = self.runs.get(run.key)
        if old is None:
            raise Broken(f"an update of run {run.key}, which does not exist")
        merged = run._replace(
            input=old.input if run.input is None else run.input, metadata=old.metadata if run.metadata is None else run.metadata
        )
        self._put(undo, self.runs, run.key, merged)
        self._note_open(undo, merged)

    def _note_open(self, undo: Undo, run: RunRow) -> None:
        if not RunStatus(run.status).is_terminal:
            self._put(undo, self.open_runs, run.key, None)
        elif run.key in self.open_runs:
            self._remove(undo, self.open_runs, run.key)

    def _open_task(self, undo: Undo, task: TaskRow) -> None:
        self._insert(undo, self.tasks, task.key, task)
        self._saw_key(undo, task.key)
        self._insert(undo, self.task_keys, task.id, task.key)
        self._insert(undo, self.steps.setdefault(task.run_key, {}), task.step, task.key)

    def _change_task(self, undo: Undo, task: TaskRow) -> None:
        old = self.tasks.get(task.key)
        if old is None:
            raise Broken(f"an update of task {task.key}, which does not exist")
        fixed = (task.id, task.run_key, task.step, task.created_at)
        if fixed != (old.id, old.run_key, old.step, old.created_at):
            raise Broken(f"task {task.id} changed what never changes")
        keeps_output = task.output is None and TaskStatus(task.status).is_terminal
        self._put(undo, self.tasks, task.key, task._replace(output=old.output) if keeps_output else task)

    def _insert(self, undo: Undo, table: dict[Any, Any], key: Any, row: Any) -> None:
        if key in table:
            raise Broken(f"a second row under {key!r}: {row}")
        self._put(undo, table, key, row)

    def _put(self, undo: Undo, table: dict[Any, Any], key: Any, row: Any) -> None:
        undo.append((table, key, table.get(key, _ABSENT)))
        table[key] = row

    def _saw_key(self, undo: Undo, key: int) -> None:
        if key > self.last["key"]:
            undo.append((self.last, "key", self.last["key"]))
            self.last["key"] = key

    def _remove(self, undo: Undo, table: dict[Any, Any], key: Any) -> None:
        if key not in table:
            raise Broken(f"a delete of {key!r}, which does not exist")
        undo.append((table, key, table.pop(key)))

    # Reading

    def tasks_of(self, run_key: int) -> list[TaskRow]:
        """By step."""
        steps = self.steps.get(run_key, {})
        return [self.tasks[steps[step]] for step in sorted(steps)]

    def snapshot(self, first_key: int) -> Snapshot:
        """What a core is rebuilt from."""
        runs = [self.runs[key] for key in self.open_runs]
        newest: dict[int, VersionRow] = {}
        for version in self.versions.values():
            newest[version.workflow_key] = version
        wanted = {run.version_key for run in runs} | {version.key for version in newest.values()}
        return Snapshot(
            max(first_key, self.last["key"] + 1),
            [row for row in self.workflows.values() if row.deleted_at is None],
            [row for row in self.versions.values() if row.key in wanted],
            list(self.workers.values()),
            runs,
            [task for run in runs for task in self.tasks_of(run.key)],
            list(self.receipts.values()),
            first_due(self.crons.values(), self.schedules.values()),
            pauses=list(self.pauses.values()),
            filters=list(self.filters.values()),
            event_runs=[self.event_runs[run.key] for run in runs if run.key in self.event_runs],
            waits=of_runs(self.waits.values(), [run.key for run in runs]),
        )

    def look_up(self, needs: Needs) -> Found:
        """What a step asked for."""
        keys = self._runs_named(needs.run_or_task_ids)
        return Found(
            {ref: self.refs[ref] for ref in needs.child_refs if ref in self.refs},
            {one: self.requests[one] for one in needs.request_ids if one in self.requests},
            [(self.runs[key], self.tasks_of(key)) for key in keys],
            [self.versions[key] for key in dict.fromkeys(self.runs[key].version_key for key in keys)],
            answer(needs.timetable, self.crons.values(), self.schedules.values()),
            event_runs=[self.event_runs[key] for key in keys if key in self.event_runs],
            events={one: self.pushed_events[self.event_keys[one]] for one in needs.event_ids if one in self.event_keys},
            waits=of_runs(self.waits.values(), keys) if keys else [],
            look_backs={one: newest_like(one, self.pushed_events.values(), _holds) for one in needs.look_backs},
            rate_limits=dict.fromkeys(needs.rate_limits)
            | {row.name: row for row in self.rate_limits.values() if row.name in needs.rate_limits},
            claims=self.claims_of(needs.claims),
        )

    def claims_of(self, names: Iterable[bytes]) -> dict[bytes, ClaimRow]:
        """By name."""
        return {name: self.claims[self.claim_keys[name]] for name in names if name in self.claim_keys}

    def _runs_named(self, ids: Iterable[str]) -> list[int]:
        keys: set[int] = set()
        for one in ids:
            if one in self.run_keys:
                keys.add(self.run_keys[one])
            elif one in self.task_keys:
                keys.add(self.tasks[self.task_keys[one]].run_key)
        return sorted(keys)

    def copy(self) -> Tables:
        """The same rows, apart from then on."""
        twin = Tables()
        for name, value in vars(self).items():
            setattr(twin, name, dict(value) if name != "steps" else {run: dict(steps) for run, steps in value.items()})
        return twin


def undone(undo: Undo) -> None:
    """Take changes back, last first."""
    for table, key, old in reversed(undo):
        if old is _ABSENT:
            table.pop(key, None)
        else:
            table[key] = old


def _holds(expression: str, event: PushedEventRow) -> bool:
    return answer_of(expression, event.payload)
