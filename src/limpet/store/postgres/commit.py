"""One commit: one call of one function of the database, with the fences and all changes as arrays of rows.

The rows of the core go as they are: each list is one array of a composite type with the columns of its tuple type. That
costs the engine half of what an array for each column does (8 against 18 us of a task's life), and the server no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from limpet.core.decision import Changes
from limpet.core.ids import TenantNo
from limpet.store.api import Batch, CommitOutcomeUnknown, Fences
from limpet.store.postgres.lane import Lane, Link
from limpet.store.tables import dropped_keys

_LISTS = tuple(each.name for each in fields(Changes))
# Of two rows of a key the later counts.
_REPLACING = frozenset(
    {
        "workflows", "workers", "runs_changed", "tasks_changed", "crons", "schedules", "filters", "webhooks", "waits",
        "rate_limits", "pauses",
    }
)  # fmt: skip


class Written(NamedTuple):
    """What a commit did. `homeless`: new runs and tasks whose day has no partition."""

    rows: int
    homeless: int


async def commit(lane: Lane, batch: Batch, lease_us: int) -> Written:
    """Write a batch. Raises FenceMismatch, DataError, CommitOutcomeUnknown or another StoreError."""
    lists = _joined(batch.changes)
    arguments = {"fences": fence_rows(batch.fences), "lease_us": lease_us, **lists, "key_floors": _floors(batch.changes)}
    async with lane.link(lost=_outcome_unknown) as link:
        homeless = await link.value(_statement(batch), **arguments)
    return Written(sum(map(len, lists.values())), homeless)


async def warm(link: Link) -> None:
    """Let a new connection learn the types of a commit before the first one waits for it."""
    for name in ("commit", "commit_with_more"):
        await link.connection.prepare(link.sql.statement(name).text)


def _statement(batch: Batch) -> str:
    has_more = any(_has_more(changes) for _, changes in batch.changes)
    return "commit_with_more" if has_more else "commit"


def _has_more(changes: Changes) -> bool:
    """Whether the commit has what few commits have."""
    return bool(
        changes.has_timetable
        or changes.has_events
        or changes.has_webhooks
        or changes.waits
        or changes.has_rate_limits
        or changes.has_claims
        or changes.pauses
    )


def fence_rows(fences: Fences) -> list[tuple[int, int, int]]:
    """As the database takes them, in the order in which every owner takes locks."""
    return [(group, *fences[group]) for group in sorted(fences)]


def _joined(changes: Sequence[tuple[TenantNo, Changes]]) -> dict[str, Sequence[Any]]:
    """The lists of all tenants, each as one."""
    if len(changes) == 1:
        return {name: getattr(changes[0][1], name) for name in _LISTS}
    is_split = len({tenant_no for tenant_no, _ in changes}) < len(changes)
    return {name: _list_of(name, changes, is_split=is_split) for name in _LISTS}


def _list_of(name: str, changes: Sequence[tuple[TenantNo, Changes]], *, is_split: bool) -> Sequence[Any]:
    rows = [row for _, each in changes for row in getattr(each, name)]
    if is_split and name in _REPLACING:
        return list({row.key: row for row in rows}.values())
    return rows


def _floors(changes: Iterable[tuple[TenantNo, Changes]]) -> list[tuple[TenantNo, int]]:
    """The largest key each tenant deletes, so that none is given again."""
    floors: dict[TenantNo, int] = {}
    for tenant_no, each in changes:
        if dropped := dropped_keys(each):
            floors[tenant_no] = max(floors.get(tenant_no, 0), *dropped)
    return list(floors.items())


def _outcome_unknown(why: str) -> Exception:
    return CommitOutcomeUnknown(f"The answer of a commit got lost ({why}).")
