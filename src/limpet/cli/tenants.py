"""`limpet tenants`: who shares an engine without seeing each other."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from limpet.cli.grammar import Json, StoreFile, command_group, examples
from limpet.cli.printing import iso, print_json, print_line, print_note, print_table

COLUMNS = ("tenant", "name", "created")

app: typer.Typer = command_group("Create and list tenants: each has its own workflows, workers and runs, and its own tokens.")


@app.command(
    epilog=examples(
        "limpet tenants create search-team --store limpet.db",
        "limpet tenants create search-team --id 01934f2e-0000-4000-8000-000000000001 --store limpet.db",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it; no other tenant has the name.")],
    wanted_id: Annotated[
        str | None, typer.Option("--id", help="A UUID to have as id; else a new one.", show_default=False)
    ] = None,
    store: StoreFile = None,
    json: Json = False,
) -> None:
    """Make a tenant and print its id. A running engine serves it within ten seconds."""
    from limpet.cli.roster import new_tenant, with_roster  # the engine's parts are imported when they are needed, not for help

    tenant, is_new = with_roster(store, lambda roster: new_tenant(roster, name, wanted_id), create=True)
    if json:
        print_json(shown(tenant))
        return
    print_line(tenant.id)
    print_note(f"Tenant {tenant.name} is new." if is_new else f"Tenant {tenant.name} was there already.")
    print_note(f"Its clients need a token: limpet token create NAME --tenant {tenant.id}")


@app.command("list", epilog=examples("limpet tenants list --store limpet.db"))
def list_tenants(store: StoreFile = None, json: Json = False) -> None:
    """List tenants, oldest first."""
    from limpet.cli.roster import with_roster

    found = [shown(each) for each in with_roster(store, lambda roster: roster.tenants())]
    if json:
        print_json(found)
    else:
        rows = [(each["id"], each["name"], each["created_at"]) for each in found]
        print_table(COLUMNS, rows, empty="This store has no tenants. Make one: limpet tenants create NAME")


def shown(tenant: Any) -> dict[str, str | None]:
    """A tenant's row as people and programs read it."""
    return {"id": tenant.id, "name": tenant.name, "created_at": iso(tenant.created_at)}
