"""`limpet filters`: which events of a scope start a workflow."""

from __future__ import annotations

from typing import Annotated

import typer

from limpet.cli.api import Api
from limpet.cli.events import Limit, Scopes
from limpet.cli.given import read_input
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.names import workflow_id_of
from limpet.cli.printing import JsonObject, print_done, print_json, print_table
from limpet.cli.run_pages import shortened

COLUMNS = ("filter", "workflow", "scope", "expression", "payload", "declared")
FILTERS = "/api/v1/stable/tenants/{tenant}/filters"

app: typer.Typer = command_group("List, create and delete filters of events.")


@app.command("list", epilog=examples("limpet filters list", "limpet filters list --workflow invoices --scope eu --json"))
def list_filters(
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow.", show_default=False)] = None,
    scope: Scopes = None,
    limit: Limit = 100,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List filters, newest first, declared ones too."""
    with Api(url, token) as api:
        workflows = [] if workflow is None else [workflow_id_of(api, workflow)]
        found = api.get(FILTERS, {"workflowIds": workflows, "scopes": scope, "limit": limit})
    if json:
        print_json(found)
    else:
        nothing = "There is no such filter, so workflows start on every event of their keys."
        print_table(COLUMNS, [filter_row(row) for row in found["rows"]], empty=nothing)


@app.command(epilog=examples("""limpet filters create invoices eu 'input.sum >= payload.least' --payload '{"least": 10}'"""))
def create(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name or id of the workflow.")],
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="Events of this scope are let through.")],
    expression: Annotated[str, typer.Argument(metavar="EXPRESSION", help="CEL; true starts a run.")],
    given: Annotated[str, typer.Option("--payload", help="A JSON object for expression and runs, or @FILE.")] = "{}",
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Create a filter; it counts from the next event on."""
    with Api(url, token) as api:
        body = {"workflowId": workflow_id_of(api, workflow), "scope": scope, "expression": expression}
        made = api.post(FILTERS, {**body, "payload": read_input(given, "payload")})
    print_done(made, f"Created filter {made['metadata']['id']} of {workflow} for scope {scope}.", json=json)


@app.command(epilog=examples("limpet filters delete 01998b8a-2d1e-7c3f-9d5b-2f0f5f6f7a11"))
def delete(
    identity: Annotated[str, typer.Argument(metavar="FILTER", help="Id of a filter.")],
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Delete a filter; runs it let through go on."""
    with Api(url, token) as api:
        gone = api.delete(f"{FILTERS}/{identity}")
    print_done(gone, f"Deleted filter {identity} for scope {gone['scope']}.", json=json)


def filter_row(row: JsonObject) -> tuple[object, ...]:
    """One line of `filters list`."""
    declared = "yes" if row["isDeclarative"] else "no"
    return row["metadata"]["id"], row["workflowId"], row["scope"], row["expression"], shortened(row["payload"]), declared
