"""`limpet cluster`: the servers that share a database, which of them owns the store, which stand by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limpet.cli.exits import CommandError, Misuse
from limpet.cli.grammar import Json, StoreFile, command_group, examples
from limpet.cli.printing import JsonObject, iso, print_json, print_line, print_table, span

if TYPE_CHECKING:
    from limpet.store.postgres.ownership import Cluster, Lease, Server

SERVER_COLUMNS = ("server", "address", "state", "release", "started")
LEASE_COLUMNS = ("group", "owner", "epoch", "commits", "lease", "tenants")
OWNER, SILENT, STANDBY, EXPIRED, GONE = "owner", "owner, disconnected", "standby", "expired", "gone"

app: typer.Typer = command_group("Look at the servers that share a database.")


@app.callback()
def cluster() -> None:
    """Look at the servers that share a database: who owns the store, who stands by."""


@app.command(epilog=examples("limpet cluster status --store postgresql://limpet@db/limpet"))
def status(
    store: StoreFile = None,
    all_groups: Annotated[bool, typer.Option("--all", help="Also groups without tenants.")] = False,
    json: Json = False,
) -> None:
    """Show servers, leases, epochs and counts of commits."""
    found = look(store)
    servers = [server_shown(each, found.leases) for each in found.servers]
    leases = [lease_shown(each) for each in found.leases]
    if json:
        print_json({"servers": servers, "leases": leases})
        return
    print_table(SERVER_COLUMNS, [tuple(each.values()) for each in servers], empty="No server has worked on this store.")
    print_line()
    rows = [lease_row(each) for each in leases if all_groups or each["tenants"]]
    print_table(LEASE_COLUMNS, rows, empty="No group has a tenant.")
    print_line()
    print_line(verdict([each["state"] for each in servers]))


def look(store: str | None) -> Cluster:
    """Servers and leases of the named store, as exit code and sentence where that fails."""
    from limpet.cli.databases import asked  # asyncpg is an extra, and imported when it is needed, not for help
    from limpet.cli.plan import lasting_store
    from limpet.store.address import Address
    from limpet.store.api import SchemaError, StoreError

    place = lasting_store(store)
    if not isinstance(place, Address):
        raise Misuse(f"The store {place} is a file, which one process holds.", f"limpet db status --store {place}")
    try:
        found: Cluster = asked(lambda maintenance: maintenance.cluster(place))
    except SchemaError as error:
        raise Misuse(str(error)) from error
    except StoreError as error:
        raise CommandError(str(error)) from error
    return found


def server_shown(server: Server, leases: Iterable[Lease]) -> dict[str, Any]:
    """A server as people and programs read it; the order is that of `SERVER_COLUMNS`."""
    return {
        "id": server.id,
        "address": server.address,
        "state": state_of(server, leases),
        "release": server.release,
        "started_at": iso(server.started_at),
    }


def state_of(server: Server, leases: Iterable[Lease]) -> str:
    """What a server is to the store. Expired: its lease has run out, and nobody has taken over yet."""
    left_us = [each.expires_in_us or 0 for each in leases if each.owner_id == server.id and not each.released]
    if any(left > 0 for left in left_us):
        return OWNER if server.is_connected else SILENT
    if left_us:
        return EXPIRED
    return STANDBY if server.is_connected else GONE


def lease_shown(lease: Lease) -> dict[str, Any]:
    """A lease as programs read it. `expires_in_s`: negative since it ran out; null while nobody has it."""
    lasts = lease.expires_in_us is not None and not lease.released
    return {
        "group": lease.group,
        "owner": None if lease.released else lease.owner_id,
        "epoch": lease.fence.epoch,
        "commits": lease.fence.seq,
        "expires_in_s": (lease.expires_in_us or 0) / 1_000_000 if lasts else None,
        "tenants": lease.tenants,
    }


def lease_row(lease: JsonObject) -> tuple[object, ...]:
    """A lease as people read it."""
    return tuple(lease_text(lease) if key == "expires_in_s" else value for key, value in lease.items())


def lease_text(lease: Mapping[str, Any]) -> str:
    """How long it lasts, or since when it is over."""
    left_s = lease["expires_in_s"]
    if left_s is None:
        return "free"
    return f"{span(round(left_s * 1_000))} left" if left_s > 0 else f"ended {span(round(-left_s * 1_000))} ago"


def verdict(states: list[str]) -> str:
    """What an operator should know first."""
    if OWNER not in states:
        waits = "A standby takes over when its lease has run out." if STANDBY in states else "Start a server."
        return f"No living server owns the store. {waits}"
    if STANDBY not in states:
        return "No server stands by: when the owner dies, nothing takes over until somebody starts a server."
    return "One server owns the store, and another one would take over."
