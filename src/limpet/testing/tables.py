"""What a store would hold of one tenant: committed rows in dictionaries, and what a core is rebuilt from.

The rules of `core.decision.Changes` to the letter and nothing else; it is synchronous, so that a scenario needs no loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from limpet.core.claim_rows import ClaimRow
from limpet.core.condition_rows import WaitRow, of_runs
from limpet.core.conditions import LookBack
from limpet.core.decision import Changes
from limpet.core.event_rows import EventRunRow, ExpressionFailureRow, FilterRow, PushedEventRow
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import EventRow, ReceiptRow, RunRow, RunStatus, TaskRow, VersionRow, WorkerRow, WorkflowRow
from limpet.core.timetable_rows import CronRow, ScheduleRow, answer, first_due
from limpet.core.webhook_rows import WebhookRow


class _Keyed(Protocol):
    @property
    def key(self) -> int: ...


_Row = TypeVar("_Row", bound=_Keyed)


class Tables:
    """Rows by key. `apply` is a commit; everything else reads."""

    def __init__(self, first_key: int) -> None:
        self.next_key: int = first_key
        self.workflows: dict[int, WorkflowRow] = {}
        self.versions: dict[int, VersionRow] = {}
        self.workers: dict[int, WorkerRow] = {}
        self.runs: dict[int, RunRow] = {}
        self.tasks: dict[int, TaskRow] = {}
        self.receipts: dict[int, ReceiptRow] = {}
        self.events: dict[int, EventRow] = {}
        self.crons: dict[int, CronRow] = {}
        self.schedules: dict[int, ScheduleRow] = {}
        self.rate_limits: dict[int, RateLimitRow] = {}
        self.claims: dict[int, ClaimRow] = {}
        self.pauses: dict[int, PauseRow] = {}
        self.pushed_events: dict[int, PushedEventRow] = {}
        self.event_runs: dict[int, EventRunRow] = {}
        self.filters: dict[int, FilterRow] = {}
        self.expression_failures: dict[int, ExpressionFailureRow] = {}
        self.waits: dict[tuple[int, int], WaitRow] = {}
        self.webhooks: dict[int, WebhookRow] = {}
        self._task_keys: dict[int, list[int]] = {}

    def apply(self, changes: Changes) -> None:
        """Commit the changes of one step. An insert of a known key or an update of an unknown one is a bug and asserts."""
        self._replace(self.workflows, changes.workflows)
        self._insert(self.versions, changes.versions)
        self._replace(self.workers, changes.workers)
        for key in changes.workers_forgotten:
            del self.workers[key]
        self._insert(self.runs, changes.runs_opened)
        for run in changes.runs_changed:
            self.runs[run.key] = kept(self.runs[run.key], run)
        self._insert(self.tasks, changes.tasks_opened)
        for task in changes.tasks_opened:
            self._task_keys.setdefault(task.run_key, []).append(task.key)
        for task in changes.tasks_changed:
            assert task[:6] == self.tasks[task.key][:6], f"task {task.id}: a column that never changes has changed"
            self.tasks[task.key] = task
        self._insert(self.receipts, changes.receipts)
        for key in changes.receipts_folded:
            del self.receipts[key]
        self._insert(self.events, changes.events)
        for key in changes.crons_dropped:
            del self.crons[key]
        self._replace(self.crons, changes.crons)
        for key in changes.schedules_dropped:
            del self.schedules[key]
        self._replace(self.schedules, changes.schedules)
        for key in changes.rate_limits_dropped:
            del self.rate_limits[key]
        self._replace(self.rate_limits, changes.rate_limits)
        names = [row.name for row in self.rate_limits.values()]
        assert len(names) == len(set(names)), "a rate limit has two rows"
        self.waits.update({row.key: row for row in changes.waits})
        self._apply_events(changes)
        for key in changes.claims_dropped:
            self.claims.pop(key, None)
        for claim in changes.claims:
            assert claim.name not in {row.name for row in self.claims.values()}, f"the key {claim.name!r} is held twice"
            self.claims[claim.key] = claim
        self.pauses.update({row.key: row for row in changes.pauses})

    def _apply_events(self, changes: Changes) -> None:
        self._insert(self.pushed_events, changes.pushed_events)
        self._insert(self.event_runs, changes.event_runs)
        for key in changes.filters_dropped:
            del self.filters[key]
        self._replace(self.filters, changes.filters)
        self._insert(self.expression_failures, changes.expression_failures)
        for key in changes.webhooks_dropped:
            del self.webhooks[key]
        self._replace(self.webhooks, changes.webhooks)

    def _insert(self, table: dict[int, _Row], rows: Iterable[_Row]) -> None:
        for row in rows:
            assert row.key not in table, f"{type(row).__name__} {row.key} exists already"
            table[row.key] = row
            self.next_key = max(self.next_key, row.key + 1)

    def _replace(self, table: dict[int, _Row], rows: Iterable[_Row]) -> None:
        for row in rows:
            table[row.key] = row
            self.next_key = max(self.next_key, row.key + 1)

    def tasks_of(self, run_key: int) -> list[TaskRow]:
        """The run's tasks that exist, by step."""
        return sorted((self.tasks[key] for key in self._task_keys.get(run_key, [])), key=lambda task: task.step)

    def snapshot(self) -> Snapshot:
        """What a core is rebuilt from: open work, without payloads."""
        runs = [run._replace(input=None) for run in self.runs.values() if not RunStatus(run.status).is_terminal]
        workflows = [workflow for workflow in self.workflows.values() if workflow.deleted_at is None]
        newest = {version.workflow_key: version.key for version in sorted(self.versions.values(), key=lambda v: v.number)}
        in_use = {run.version_key for run in runs} | {newest[workflow.key] for workflow in workflows}
        return Snapshot(
            self.next_key,
            workflows,
            [version for version in self.versions.values() if version.key in in_use],
            list(self.workers.values()),
            runs,
            [task._replace(output=None) for run in runs for task in self.tasks_of(run.key)],
            list(self.receipts.values()),
            first_due(self.crons.values(), self.schedules.values()),
            list(self.pauses.values()),
            list(self.filters.values()),
            [self.event_runs[run.key] for run in runs if run.key in self.event_runs],
            of_runs(self.waits.values(), [run.key for run in runs]),
            list(self.webhooks.values()),
        )

    def found(self, needs: Needs) -> Found:
        """What the rows know of a step's needs."""
        found = Found()
        if not needs:
            return found
        for run in self.runs.values():
            if run.child_ref in needs.child_refs:
                found.runs_by_ref[str(run.child_ref)] = run.id
            if run.request_id in needs.request_ids:
                found.runs_by_request[str(run.request_id)] = run.id
        wanted = [run for run in self.runs.values() if self._is_wanted(run, needs.run_or_task_ids)]
        found.runs = [(run._replace(input=None), self.tasks_of(run.key)) for run in wanted]
        found.versions = [self.versions[key] for key in sorted({run.version_key for run in wanted})]
        found.waits = of_runs(self.waits.values(), [run.key for run in wanted])
        found.timetable = answer(needs.timetable, self.crons.values(), self.schedules.values())
        found.rate_limits = dict.fromkeys(needs.rate_limits) | {
            row.name: row for row in self.rate_limits.values() if row.name in needs.rate_limits
        }
        found.claims = {row.name: row for row in self.claims.values() if row.name in needs.claims}
        found.event_runs = [self.event_runs[run.key] for run in wanted if run.key in self.event_runs]
        found.events = {row.id: row for row in self.pushed_events.values() if row.id in needs.event_ids}
        return found

    def _is_wanted(self, run: RunRow, ids: set[str]) -> bool:
        return run.id in ids or any(task.id in ids for task in self.tasks_of(run.key))


def newest_like(
    asked: LookBack, events: Iterable[PushedEventRow], holds: Callable[[str, PushedEventRow], bool]
) -> PushedEventRow | None:
    """What an engine would find in the past of events."""
    alike = (
        event
        for event in sorted(events, key=lambda event: (event.created_at, event.key), reverse=True)
        if event.name == asked.event_key and asked.scope in ("", event.scope) and event.created_at >= asked.since_us
    )
    return next((event for event in alike if not asked.expression or holds(asked.expression, event)), None)


def kept(old: RunRow, new: RunRow) -> RunRow:
    """The update, with the payloads it leaves alone."""
    return new._replace(
        input=old.input if new.input is None else new.input, metadata=old.metadata if new.metadata is None else new.metadata
    )
