"""Leases of the groups of tenants: claim, renew, release, and who holds them (R11-R17).

Only the clock of the database decides expiry. A claim waits behind the commit that the former owner has under way, and ends
the connections of that owner that keep it waiting for longer than `TAKE_OVER_PATIENCE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from limpet.core.ids import TenantId
from limpet.store.api import Fence, Fences, GroupNo, Holder, OwnedElsewhere, StoreError
from limpet.store.postgres.commit import fence_rows
from limpet.store.postgres.errors import OWNED, state_of
from limpet.store.postgres.lane import Lane, Link

GROUPS = 64  # buckets of tenants (R11); as many rows has `leases`
TAKE_OVER_PATIENCE_SECONDS = 1.0  # R16; a commit of a living owner takes milliseconds
CLAIM_LOCK_SECONDS = 5.0  # of the lane that claims: beyond the patience, and the end of a backend takes a moment

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """An engine that has worked on the store. `is_connected`: it has a commit connection now."""

    id: str
    address: str
    started_at: int
    release: str
    is_connected: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """Of one group. `expires_in_us` is negative when it ran out, None when nobody ever had it; `tenants`: how many."""

    group: GroupNo
    owner_id: str | None
    address: str
    fence: Fence
    expires_in_us: int | None
    released: bool
    tenants: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """Servers by the time they started, leases by group, as of one instant of the database."""

    servers: tuple[Server, ...]
    leases: tuple[Lease, ...]


def group_of(tenant_id: TenantId) -> GroupNo:
    """The group of a new tenant: a hash that is the same in every process and release."""
    return GroupNo(int.from_bytes(blake2b(tenant_id.encode(), digest_size=8).digest(), "big") % GROUPS)


async def claim(claims: Lane, others: Lane, server_id: str, address: str, lease_us: int) -> Fences:
    """Become the owner of all groups. `others`: a lane that is free while the claim waits. Raises OwnedElsewhere."""
    try:
        async with claims.link() as link:
            waiting = asyncio.ensure_future(link.rows("claim", server=server_id, address=address, lease_us=lease_us))
            try:
                await _clear_the_way(waiting, link.connection.get_server_pid(), others, server_id)
                return as_fences(await waiting)
            finally:
                await _ended(waiting)
    except StoreError as error:
        if state_of(error.__cause__ or error) != OWNED:
            raise
    raise OwnedElsewhere(await holder(others))


async def fences(lane: Lane) -> Fences:
    """What is stored."""
    async with lane.link() as link:
        return as_fences(await link.rows("fences"))


async def renew(lane: Lane, wanted: Fences, lease_us: int) -> None:
    """Prolong leases. Raises FenceMismatch when one of them has another epoch."""
    async with lane.link() as link:
        await link.rows("renew", fences=fence_rows(wanted), lease_us=lease_us)


async def release(lane: Lane, wanted: Fences) -> None:
    """Mark leases as free, those that still have their epoch."""
    async with lane.link() as link:
        await link.rows("release", fences=fence_rows(wanted))


async def holder(lane: Lane) -> Holder | None:
    """Whose lease runs now."""
    async with lane.link() as link:
        row = await link.row("holder")
    return Holder(*row) if row is not None else None


async def cluster(lane: Lane) -> Cluster:
    """Servers and leases, for people."""
    async with lane.link() as link, link.reading():
        servers = tuple(Server(*row) for row in await link.rows("servers"))
        leases = tuple(
            Lease(group, owner, address, Fence(epoch, seq), left, released, tenants)
            for group, owner, address, epoch, seq, left, released, tenants in await link.rows("leases")
        )
    return Cluster(servers, leases)


async def introduce(lane: Lane, server_id: str, address: str, release_name: str) -> None:
    """Put this server on the list, and take those off that are gone for good."""
    async with lane.link() as link:
        await link.rows("forget_servers", server=server_id)
        await link.rows("introduce_server", server=server_id, address=address, release=release_name)


async def introduce_backend(link: Link, server_id: str) -> None:
    """Put a new commit connection on the list."""
    await link.rows("introduce_backend", server=server_id)


def as_fences(rows: list[tuple[int, int, int]]) -> dict[GroupNo, Fence]:
    """Of rows (group, epoch, seq)."""
    return {GroupNo(group): Fence(epoch, seq) for group, epoch, seq in rows}


async def _clear_the_way(waiting: asyncio.Future[list[Any]], claimer_pid: int, others: Lane, server_id: str) -> None:
    """While the claim waits: end the old owner's connections that block it (R16b)."""
    while True:
        done, _ = await asyncio.wait([waiting], timeout=TAKE_OVER_PATIENCE_SECONDS)
        if done:
            return
        async with others.link() as link:
            for ended_id, pid in await link.rows("end_backends_in_the_way", server=server_id, claimer_pid=claimer_pid):
                _log.warning(
                    "A commit of server %s stood in the way of this take-over; its connection %d was ended.", ended_id, pid,
                    extra={"event": "store.backend_ended", "server_id": ended_id, "pid": pid},
                )  # fmt: skip


async def _ended(waiting: asyncio.Future[list[Any]]) -> None:
    if not waiting.done():
        waiting.cancel()
    await asyncio.wait([waiting])
