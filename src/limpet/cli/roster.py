"""Who may use a store: its tenants, and the tokens that open them, also while an engine owns the store.

An engine owns what its memory knows: runs, tasks, workers. Tenants and tokens it only reads, every few seconds, so these
commands may write them beside it. How a store is reached beside its owner is the business of its kind of store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID, uuid4

from limpet.cli.exits import CommandError, Missing, Misuse
from limpet.cli.plan import lasting_store
from limpet.cli.printing import printable
from limpet.core.ids import SECOND_US, TenantId, is_uuid
from limpet.core.settings import Settings
from limpet.store.api import SchemaError, StoreError, Tenant, Token

if TYPE_CHECKING:
    from limpet.edges.tokens import Minted

T = TypeVar("T")
Named = TypeVar("Named", Tenant, Token)


class Roster(Protocol):
    """The part of a `Store` that works beside the store's owner; whatever has these four can stand behind the commands."""

    async def tenants(self) -> Sequence[Tenant]: ...

    async def create_tenant(self, tenant_id: TenantId, name: str, now: int) -> Tenant:
        """Returns the existing one when the id is taken."""

    async def tokens(self) -> Sequence[Token]: ...

    async def put_token(self, token: Token) -> None: ...


def with_roster(store: str | None, work: Callable[[Roster], Awaitable[T]], *, create: bool = False) -> T:
    """Do the work on the named store; what it has against it as an exit code and a sentence.

    create: a store that does not exist yet is made, with its default tenant
    """

    async def opened() -> T:
        async with open_roster(store, create=create) as roster:
            return await work(roster)

    try:
        return asyncio.run(opened())
    except SchemaError as error:
        raise Misuse(str(error)) from error
    except StoreError as error:
        raise CommandError(str(error)) from error


@asynccontextmanager
async def open_roster(store: str | None, *, create: bool) -> AsyncIterator[Roster]:
    """The roster of the kind of store that is named. Raises Missing, Misuse, StoreError."""
    place = lasting_store(store)
    if isinstance(place, Path):
        from limpet.cli import sqlite_roster  # only commands on a file need it

        async with sqlite_roster.opened(place, create=create) as roster:
            yield roster
    else:
        from limpet.cli import postgres_roster  # only commands on a database need it, and asyncpg

        async with postgres_roster.opened(place, create=create) as roster:
            yield roster


async def tenant_of(roster: Roster, wanted: str | None) -> Tenant:
    """The tenant with this id, or with this name when only one has it; the oldest when none is named."""
    tenants = await roster.tenants()
    return chosen(tenants, wanted, "tenant", "limpet tenants list") if wanted is not None else tenants[0]


async def new_tenant(roster: Roster, name: str, wanted_id: str | None) -> tuple[Tenant, bool]:
    """A tenant of this name, and whether it is new: one that has the id and the name already is taken as it is."""
    check_name(name)
    tenant_id = TenantId(str(uuid_of(wanted_id) if wanted_id is not None else uuid4()))
    for known in await roster.tenants():
        if known.id == tenant_id and known.name == name:
            return known, False
        if known.id == tenant_id or known.name == name:
            raise CommandError(
                f"There is a tenant {known.name} with the id {known.id} already.", "Choose another name, and leave --id out."
            )
    return await roster.create_tenant(tenant_id, name, int(time.time() * SECOND_US)), True


async def new_token(roster: Roster, wanted_tenant: str | None, mint: Callable[[Tenant], Minted]) -> tuple[Minted, Tenant]:
    """A token for a tenant, named as `tenant_of` takes it; its row is durable when this returns."""
    tenant = await tenant_of(roster, wanted_tenant)
    minted = mint(tenant)
    await roster.put_token(minted.row)
    return minted, tenant


async def owned_tokens(roster: Roster) -> list[tuple[Token, Tenant]]:
    """All tokens, oldest first, each with the tenant it opens."""
    tokens = await roster.tokens()  # before the tenants, so that none is read without its tenant
    by_no = {tenant.no: tenant for tenant in await roster.tenants()}
    return [(token, by_no[token.tenant_no]) for token in tokens]


async def revoke_token(roster: Roster, wanted: str) -> tuple[Token, Tenant]:
    """Revoke by id, or by a name that only one valid token has. Revoking twice changes nothing. Raises Missing, Misuse."""
    owned = {token.id: (token, tenant) for token, tenant in await owned_tokens(roster)}
    named = [token for token, _ in owned.values() if wanted in (token.id, token.name)]
    valid = [token for token in named if token.revoked_at is None]
    token, tenant = owned[chosen(valid or named[:1], wanted, "token", "limpet token list").id]
    if token.revoked_at is None:
        token = token._replace(revoked_at=int(time.time() * SECOND_US))
        await roster.put_token(token)
    return token, tenant


def chosen(known: Sequence[Named], wanted: str, kind: str, command: str) -> Named:
    """The one with this id, else the only one with this name. Raises Missing, Misuse."""
    found = [each for each in known if each.id == wanted.lower()] or [each for each in known if each.name == wanted]
    if not found:
        raise Missing(f"There is no {kind} {wanted} in this store.", f"`{command}` shows them.")
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        raise Misuse(f"{len(found)} {kind}s are called {wanted}.", f"Name one by its id: {ids}")
    return found[0]


def uuid_of(text: str) -> UUID:
    """An id that somebody typed. Raises Misuse."""
    try:
        return UUID(text)
    except ValueError as error:
        raise Misuse(f"'{text}' cannot be the id of a tenant.", "Write a UUID, or leave --id out for a new one.") from error


def check_name(name: str) -> None:
    """Raise Misuse for a name that could not be told apart, read, or kept."""
    bytes_max = Settings().name_bytes_max
    if not name.strip() or name != printable(name) or is_uuid(name) or len(name.encode()) > bytes_max:
        raise Misuse(
            f"'{printable(name)}' cannot be the name of a tenant.",
            f"Write 1 to {bytes_max} bytes of visible text that does not look like an id.",
        )
