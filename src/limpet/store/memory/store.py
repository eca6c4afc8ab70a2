"""A store in memory: it forgets at exit, and keeps every other promise of `store.api`.

The content is a thing of its own, so that a test or a simulation can open a second store over what a crashed engine
has left (`MemoryStore(old.content)`), or keep a copy (`store.content.copy()`) and `rewind` to it: a store that went back in time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence

from limpet.core.claim_rows import ClaimRow
from limpet.core.ids import TENANT_KEY_SHIFT, TenantId, TenantNo, first_key
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import RunRow, RunStatus, TaskRow, VersionRow, WorkflowRow
from limpet.core.timetable_rows import answer, first_due
from limpet.store.api import (
    LOG_LINES_MAX,
    ONLY_GROUP,
    PRUNE_ROWS_MAX,
    QUARANTINE_MAX,
    Batch,
    FenceMismatch,
    Fences,
    Holder,
    LogLine,
    Quarantined,
    Reader,
    StoreStats,
    Tenant,
    Token,
    TransientStoreError,
)
from limpet.store.memory import events
from limpet.store.memory.content import Content
from limpet.store.memory.draft import Draft
from limpet.store.memory.reader import MemoryReader


class MemoryStore:
    """`Store` over a `Content`, by default an empty one."""

    stats: StoreStats
    content: Content
    reader: Reader
    lease_us: int | None = None

    def __init__(self, content: Content | None = None) -> None:
        self.stats = StoreStats()
        self._is_open = False
        self.content = Content() if content is None else content
        self._reader = MemoryReader(self.content)
        self.reader = self._reader

    def rewind(self, content: Content) -> None:
        """From now on this content is what is stored."""
        self.content = content
        self._reader.content = content

    async def open(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False

    async def claim(self) -> Fences:
        content = self._opened()
        content.fence = content.fence._replace(epoch=content.fence.epoch + 1)
        return {ONLY_GROUP: content.fence}

    async def fences(self) -> Fences:
        return {ONLY_GROUP: self._opened().fence}

    async def renew(self, fences: Fences) -> None:
        content = self._opened()
        if fences[ONLY_GROUP].epoch != content.fence.epoch:
            raise FenceMismatch(f"The store stands at {content.fence}, so {fences[ONLY_GROUP]} does not own it any more.")

    async def release(self, fences: Fences) -> None:
        """Nothing to give up: whoever claims is the owner."""

    async def holder(self) -> Holder | None:
        return None

    async def load(self, tenant_no: TenantNo) -> Snapshot:
        content = self._opened()
        runs = [
            run._replace(input=None)
            for run in content.of(tenant_no, content.runs)
            if not RunStatus(run.status).is_terminal
        ]  # fmt: skip
        workflows = sorted((row for row in content.of(tenant_no, content.workflows) if row.deleted_at is None), key=_by_name)
        return Snapshot(
            next_key=max(_largest_key(content, tenant_no) + 1, first_key(tenant_no)),
            workflows=workflows,
            versions=_versions_to_load(content, workflows, runs),
            workers=content.of(tenant_no, content.workers),
            runs=runs,
            tasks=sorted(_without_output(content.tasks[key]) for run in runs for key in content.tasks_of.get(run.key, ())),
            receipts=content.of(tenant_no, content.receipts),
            pauses=content.of(tenant_no, content.pauses),
            due_at=first_due(content.of(tenant_no, content.crons), content.of(tenant_no, content.schedules)),
            filters=content.of(tenant_no, content.filters),
            webhooks=content.of(tenant_no, content.webhooks),
            event_runs=[content.event_runs[run.key] for run in runs if run.key in content.event_runs],
            waits=content.waits_of(runs),
        )

    async def commit(self, batch: Batch) -> None:
        began = time.perf_counter()
        content = self._opened()
        fence = batch.fences[ONLY_GROUP]
        if fence != content.fence.next():
            raise FenceMismatch(f"The store stands at {content.fence}, so it does not take a commit with {fence}.")
        with Draft(content) as draft:
            for tenant_no, changes in batch.changes:
                draft.apply(tenant_no, changes)
        content.fence = fence
        self.stats.commits += 1
        self.stats.rows_written += draft.rows
        self.stats.commit_seconds_total += time.perf_counter() - began

    async def look_up(self, tenant_no: TenantNo, needs: Needs) -> Found:
        content = self._opened()
        keys = {
            key
            for wanted in needs.run_or_task_ids
            for key in (content.key_of("run", tenant_no, "id", wanted), _run_of_task(content, tenant_no, wanted))
            if key is not None and not content.is_gone(content.runs[key])
        }
        runs = [content.runs[key]._replace(input=None) for key in sorted(keys)]
        return Found(
            runs_by_ref=_ids_by_name(content, tenant_no, "child_ref", needs.child_refs),
            runs_by_request=_ids_by_name(content, tenant_no, "request_id", needs.request_ids),
            runs=[(run, [_without_output(task) for task in content.tasks_of_run(run.key)]) for run in runs],
            versions=[content.versions[key] for key in sorted({run.version_key for run in runs})],
            waits=content.waits_of(runs),
            timetable=answer(needs.timetable, content.of(tenant_no, content.crons), content.of(tenant_no, content.schedules)),
            rate_limits={name: _rate_limit(content, tenant_no, name) for name in needs.rate_limits},
            claims=_claims_by_name(content, tenant_no, needs.claims),
            event_runs=[content.event_runs[run.key] for run in runs if run.key in content.event_runs],
            events=events.known(content, tenant_no, needs.event_ids),
        )

    async def tenants(self) -> Sequence[Tenant]:
        return list(self._opened().tenants.values())

    async def create_tenant(self, tenant_id: TenantId, name: str, now: int) -> Tenant:
        content = self._opened()
        for tenant in content.tenants.values():
            if tenant.id == tenant_id:
                return tenant
        number = TenantNo(max(content.tenants, default=0) + 1)
        content.tenants[number] = Tenant(number, tenant_id, name, now)
        return content.tenants[number]

    async def tokens(self) -> Sequence[Token]:
        return sorted(self._opened().tokens.values(), key=lambda token: (token.created_at, token.id))

    async def put_token(self, token: Token) -> None:
        self._opened().tokens[token.id] = token

    async def quarantine(self, tenant_no: TenantNo, at: int, reason: str, content: str) -> None:
        stored = self._opened()
        stored.quarantine = (*stored.quarantine, Quarantined(tenant_no, at, reason, content))[-QUARANTINE_MAX:]

    async def quarantined(self) -> Sequence[Quarantined]:
        return self._opened().quarantine[::-1]

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        logs = self._opened().logs
        for line in lines:
            task = (line.tenant_no, line.task_run_id)
            logs.setdefault(task, deque(maxlen=LOG_LINES_MAX)).append(line)

    async def prune_events(self, before: int, limit: int) -> int:
        return events.prune(self._opened(), before, limit)

    async def prune(self, before: int, limit: int) -> int:
        content = self._opened()
        content.gone_before = max(content.gone_before, before)
        ended = [run for run in content.runs.values() if run.finished_at is not None and run.finished_at < before]
        ended = sorted((run for run in ended if RunStatus(run.status).is_terminal), key=lambda run: run.finished_at or 0)
        for run in ended[: max(0, limit)]:
            _forget(content, run)
        return len(ended[: max(0, limit)])

    async def purge_claims(self, before: int, limit: int) -> int:
        content = self._opened()
        expired = sorted((row.expires_at, row.key) for row in content.claims.values() if row.expires_at <= before)
        expired = expired[: max(0, min(limit, PRUNE_ROWS_MAX))]
        for _, key in expired:
            row = content.claims.pop(key)
            del content.names["claim", row.tenant_no, "name", row.name]
        return len(expired)

    def _opened(self) -> Content:
        if not self._is_open:
            raise TransientStoreError("The store in memory is not open.")
        return self.content


def _by_name(row: WorkflowRow) -> tuple[str, int]:
    return row.name, row.key


def _without_output(task: TaskRow) -> TaskRow:
    return task._replace(output=None)


def _largest_key(content: Content, tenant_no: TenantNo) -> int:
    tables: Sequence[Mapping[int, object]] = (
        content.workflows, content.versions, content.workers, content.runs, content.tasks, content.receipts, content.events,
        content.crons, content.schedules, content.pushed_events, content.filters, content.expression_failures,
        content.webhooks,
        content.rate_limits,
    )  # fmt: skip
    keys = (key for table in tables for key in table if key >> TENANT_KEY_SHIFT == tenant_no)
    return max(max(keys, default=0), content.key_floors.get(tenant_no, 0))


def _versions_to_load(content: Content, workflows: Sequence[WorkflowRow], runs: Sequence[RunRow]) -> list[VersionRow]:
    newest: dict[int, VersionRow] = {}
    for version in content.versions.values():
        known = newest.get(version.workflow_key)
        if known is None or version.number > known.number:
            newest[version.workflow_key] = version
    keys = {run.version_key for run in runs} | {newest[row.key].key for row in workflows if row.key in newest}
    return [content.versions[key] for key in sorted(keys) if key in content.versions]


def _run_of_task(content: Content, tenant_no: TenantNo, task_run_id: str) -> int | None:
    key = content.key_of("task", tenant_no, "id", task_run_id)
    return None if key is None else content.tasks[key].run_key


def _ids_by_name(content: Content, tenant_no: TenantNo, what: str, wanted: Collection[str]) -> dict[str, str]:
    found = ((name, content.key_of("run", tenant_no, what, name)) for name in wanted)
    runs = ((name, content.runs[key]) for name, key in found if key is not None)
    return {name: run.id for name, run in runs if not content.is_gone(run)}


def _rate_limit(content: Content, tenant_no: TenantNo, name: str) -> RateLimitRow | None:
    key = content.key_of("rate limit", tenant_no, "name", name)
    return None if key is None else content.rate_limits[key]


def _claims_by_name(content: Content, tenant_no: TenantNo, wanted: Collection[bytes]) -> dict[bytes, ClaimRow]:
    keys = ((name, content.key_of("claim", tenant_no, "name", name)) for name in wanted)
    return {name: content.claims[key] for name, key in keys if key is not None}


def _forget(content: Content, run: RunRow) -> None:
    """A run with everything that belongs to it; its keys are never given again."""
    deleted = [run.key]
    for what, name in (("id", run.id), ("child_ref", run.child_ref), ("request_id", run.request_id)):
        content.names.pop(("run", run.tenant_no, what, name), None)
    for key in content.tasks_of.pop(run.key, ()):
        task = content.tasks.pop(key)
        content.names.pop(("task", task.tenant_no, "id", task.id), None)
        content.logs.pop((task.tenant_no, task.id), None)
        gone = content.events_of.pop(key, ())
        for event in gone:
            del content.events[event]
        deleted += (key, *gone)
    content.waits.pop(run.key, None)
    del content.runs[run.key]
    content.key_floors[run.tenant_no] = max(content.key_floors.get(run.tenant_no, 0), *deleted)
