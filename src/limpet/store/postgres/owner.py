"""What the engine's owner asks: everything to rebuild a core from, and what a step lacks.

Every search for rows of known keys names their days, so that it looks at the partitions of those days alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from limpet.core.claim_rows import ClaimRow
from limpet.core.condition_rows import WaitRow
from limpet.core.event_rows import EventRunRow, FilterRow
from limpet.core.ids import TenantId, TenantNo
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.pause_rows import PauseRow
from limpet.core.rows import Born, ReceiptRow, RunRow, TaskRow, VersionRow, WorkerRow, WorkflowRow
from limpet.core.webhook_rows import WebhookRow
from limpet.store.api import QUARANTINE_MAX, Fence, FenceMismatch, GroupNo, Quarantined, Tenant, Token
from limpet.store.key_range import key_range
from limpet.store.postgres import events, rate_limits, timetable
from limpet.store.postgres.days import DAY_US, days_of, days_of_ids, homes
from limpet.store.postgres.lane import Link
from limpet.store.postgres.ownership import group_of
from limpet.store.postgres.texts import storable
from limpet.store.tables import is_storable

LOAD_RUNS_AT_ONCE = 2_000  # unfinished runs of one statement: some 2 MB of rows
CHILD_REF, REQUEST = "c", "r"  # what a name in `run_names` begins with

Known = Mapping[GroupNo, Fence]


async def load(link: Link, tenant_no: TenantNo, known: Known) -> Snapshot:
    """All in one snapshot, so that it is one commit's state. Raises FenceMismatch when it is not the commit that is known.

    known: what this server owns and has committed, by group; empty for a server that owns nothing
    """
    where = key_range(tenant_no)
    async with link.reading():
        await _check_fence(link, tenant_no, known)
        runs = [row async for row in _unfinished_runs(link, where)]
        tasks = [row async for row in _tasks_of(link, runs)]
        largest = await link.value("largest_key", **where)
        return Snapshot(
            next_key=max(largest + 1, where["key_first"]),
            workflows=made(WorkflowRow, await link.rows("live_workflows", **where)),
            versions=made(VersionRow, await link.rows("versions_to_load", keys=list({run.version_key for run in runs}), **where)),
            workers=made(WorkerRow, await link.rows("workers_to_load", **where)),
            runs=sorted(runs),
            tasks=sorted(tasks, key=_key),
            receipts=made(ReceiptRow, await link.rows("receipts_to_load", **where)),
            pauses=made(PauseRow, await link.rows("pauses_of_tenant", **where)),
            due_at=await link.value("first_due", tenant_no=tenant_no),
            webhooks=await webhooks(link, tenant_no),
            filters=made(FilterRow, await link.rows("filters_to_load", **where)),
            event_runs=[row async for row in _event_runs_of(link, runs)],
            waits=await _waits_of(link, runs),
        )


async def webhooks(link: Link, tenant_no: TenantNo) -> list[WebhookRow]:
    """All of a tenant, oldest first."""
    return made(WebhookRow, await link.rows("webhooks_to_load", tenant_no=tenant_no))


async def look_up(link: Link, tenant_no: TenantNo, needs: Needs) -> Found:
    """One batch (R52); one snapshot, because upkeep may move rows to another day meanwhile."""
    async with link.reading():
        keys = await _run_keys(link, tenant_no, needs.run_or_task_ids)
        runs = await runs_by_key(link, keys)
        tasks = await tasks_by_run(link, runs)
        versions = await versions_by_key(link, {run.version_key for run in runs})
        return Found(
            runs_by_ref=await _named(link, tenant_no, CHILD_REF, needs.child_refs),
            runs_by_request=await _named(link, tenant_no, REQUEST, needs.request_ids),
            runs=[(run, tasks.get(run.key, [])) for run in runs],
            versions=list(versions.values()),
            waits=await _waits_of(link, runs),
            timetable=await timetable.look_up(link, tenant_no, needs.timetable),
            rate_limits=await rate_limits.named(link, tenant_no, needs.rate_limits),
            claims=await _claims(link, tenant_no, needs.claims),
            event_runs=[row async for row in _event_runs_of(link, runs)],
            events=await events.known(link, tenant_no, needs.event_ids),
        )


async def payloads(link: Link, runs: Collection[Born], tasks: Collection[Born]) -> tuple[dict[int, bytes], dict[int, TaskRow]]:
    """Inputs by run key, whole rows by task key."""
    inputs = await by_days(link, "inputs_by_key", runs) if runs else ()
    rows = await by_days(link, "whole_tasks_by_key", tasks) if tasks else ()
    return dict(inputs), {row[0]: TaskRow(*row) for row in rows}


async def by_days(link: Link, name: str, rows: Collection[Born], **where: Any) -> list[Any]:
    """What a statement finds for some rows, given by key and birth."""
    days = days_of(rows)
    days = await _all_days(link) if days is None else days
    return await link.rows(name, days=days, keys=[row.key for row in rows], **where)


async def runs_by_key(link: Link, keys: Mapping[int, int]) -> list[RunRow]:
    """By key, without inputs; `keys` tells the day of each."""
    found = await link.rows("runs_by_key", days=homes(keys.values()), keys=list(keys)) if keys else ()
    return made(RunRow, found)


async def tasks_by_run(link: Link, runs: Collection[RunRow]) -> dict[int, list[TaskRow]]:
    """All tasks of the runs in order of their steps, without outputs."""
    found: dict[int, list[TaskRow]] = {}
    async for row in _tasks_of(link, runs):
        found.setdefault(row.run_key, []).append(row)
    for tasks in found.values():
        tasks.sort(key=lambda task: (task.step, task.key))
    return found


async def versions_by_key(link: Link, keys: Collection[int]) -> dict[int, VersionRow]:
    """Some versions."""
    rows = await link.rows("versions_by_key", keys=list(keys)) if keys else ()
    return {row[0]: VersionRow(*row) for row in rows}


async def tenants(link: Link) -> list[Tenant]:
    """All, in the order they came."""
    return made(Tenant, await link.rows("tenants"))


async def create_tenant(link: Link, tenant_id: TenantId, name: str, now: int) -> Tenant:
    """Returns the existing one when the id is taken."""
    row = await link.row("create_tenant", id=tenant_id, name=name, created_at=now, group_no=group_of(tenant_id))
    assert row is not None, "a tenant was neither there nor made"
    return Tenant(*row)


async def tokens(link: Link) -> list[Token]:
    """All, revoked and expired ones too."""
    return made(Token, await link.rows("tokens"))


async def put_token(link: Link, token: Token) -> None:
    """Insert or replace."""
    await link.rows("put_token", **token._asdict())


async def quarantine(link: Link, item: Quarantined) -> None:
    """Keep an input; the oldest one beyond the bound goes."""
    kept = item._replace(reason=storable(item.reason), content=storable(item.content))
    async with link.writing():
        await link.rows("insert_quarantined", **kept._asdict())
        await link.rows("trim_quarantine", kept=QUARANTINE_MAX)


async def quarantined(link: Link) -> list[Quarantined]:
    """Newest first."""
    return made(Quarantined, await link.rows("quarantined", kept=QUARANTINE_MAX))


def made(kind: Any, rows: Iterable[Any]) -> list[Any]:
    """Records as tuples of a kind."""
    return list(map(kind._make, rows))


def _key(row: TaskRow) -> int:
    return row.key


async def _all_days(link: Link) -> list[int]:
    return [day for (day,) in await link.rows("days")]


async def _check_fence(link: Link, tenant_no: TenantNo, known: Known) -> None:
    row = await link.row("fence_of_tenant", tenant_no=tenant_no) if known else None
    if row is None:
        return
    group, stored = GroupNo(row[0]), Fence(row[1], row[2])
    if group in known and known[group] != stored:
        raise FenceMismatch(
            f"This server has committed up to {known[group]} in group {group}, but the store stands at {stored}: "
            "somebody else has claimed it, or it went back in time."
        )


async def _unfinished_runs(link: Link, where: dict[str, Any]) -> AsyncIterator[RunRow]:
    open_runs = await link.rows("open_runs", **where)
    for day in sorted({day for _, day in open_runs}):
        for keys in _pieces([key for key, born in open_runs if born == day]):
            for row in await link.rows("runs_by_key", days=homes([day]), keys=keys):
                yield RunRow(*row)


async def _tasks_of(link: Link, runs: Collection[RunRow]) -> AsyncIterator[TaskRow]:
    """Without outputs. A task may be born on any day from its run's on."""
    by_key = sorted(runs, key=lambda run: run.created_at)
    for some in _pieces(by_key):
        where = {"day_first": some[0].created_at // DAY_US, "run_keys": [run.key for run in some]}
        for row in await link.rows("tasks_by_run", **where):
            yield TaskRow(*row)


async def _waits_of(link: Link, runs: Sequence[RunRow]) -> list[WaitRow]:
    """Conditions of the runs' tasks."""
    found: list[WaitRow] = []
    for some in _pieces(sorted(runs)):
        found += made(WaitRow, await link.rows("waits_by_run", run_keys=[run.key for run in some]))
    return found


async def _event_runs_of(link: Link, runs: Sequence[RunRow]) -> AsyncIterator[EventRunRow]:
    for some in _pieces(runs):
        for row in await link.rows("event_runs_by_key", keys=[run.key for run in some]):
            yield EventRunRow(*row)


def _pieces(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + LOAD_RUNS_AT_ONCE] for start in range(0, len(values), LOAD_RUNS_AT_ONCE))


async def _run_keys(link: Link, tenant_no: TenantNo, ids: Collection[str]) -> dict[int, int]:
    """Keys of runs that are not gone, by their own ids or those of their tasks, with the day of each."""
    wanted = [one for one in ids if is_storable(one)]
    if not wanted:
        return {}
    found = await link.rows("run_keys_by_any_id", tenant_no=tenant_no, ids=wanted, days=days_of_ids(wanted))
    return dict(sorted(map(tuple, found)))


async def _claims(link: Link, tenant_no: TenantNo, names: Collection[bytes]) -> dict[bytes, ClaimRow]:
    """Idempotency keys by name, expired ones too."""
    rows = await link.rows("claims_by_name", tenant_no=tenant_no, names=list(names)) if names else ()
    return {row.name: row for row in made(ClaimRow, rows)}


async def _named(link: Link, tenant_no: TenantNo, kind: str, texts: Collection[str]) -> dict[str, str]:
    """Ids of the runs with these names that are not gone."""
    names = [kind + text for text in texts if is_storable(text)]
    rows = await link.rows("runs_by_name", tenant_no=tenant_no, names=names) if names else ()
    return {name.removeprefix(kind): run_id for name, run_id in rows}
