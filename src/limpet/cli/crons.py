"""`limpet crons`: what starts again and again."""

from __future__ import annotations

from typing import Annotated

import typer

from limpet.cli.api import Api
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.names import workflow_id_of
from limpet.cli.planned import Given, Metadata, OfWorkflow, RunPriority, print_started, start_body
from limpet.cli.printing import JsonObject, moment, print_done, print_json, print_table

LIST = "/api/v1/tenants/{tenant}/workflows/crons"
COLUMNS = ("cron", "workflow", "expression", "name", "next", "made by")
ID = "01a0c450-6c00-7953-88f4-4348692302eb"

app: typer.Typer = command_group("List, create, pause, trigger and delete crons.")

Cron = Annotated[str, typer.Argument(metavar="CRON", help="Id of a cron.")]


@app.command("list", epilog=examples("limpet crons list", "limpet crons list --workflow nightly --json"))
def list_crons(
    workflow: OfWorkflow = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List crons with the time at which each is due next."""
    with Api(url, token) as api:
        workflow_id = None if workflow is None else workflow_id_of(api, workflow)
        found = api.get(LIST, {"workflowId": workflow_id, "limit": limit})
    if json:
        print_json(found)
    else:
        nothing = "There is no cron. Declare one with on_crons, or make one: limpet crons create WORKFLOW NAME EXPRESSION"
        print_table(COLUMNS, [cron_row(row) for row in found.get("rows") or ()], empty=nothing)


@app.command(
    epilog=examples(
        'limpet crons create report nightly "0 3 * * *"',
        """limpet crons create report asia @hourly --input '{"region": "asia"}' --priority 3""",
    )
)
def create(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the cron; unique with its expression.")],
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help="Five fields, six with seconds first, or @hourly and the like; UTC.")
    ],
    data: Given = "{}",
    metadata: Metadata = None,
    priority: RunPriority = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Start a workflow again and again."""
    body = {"cronName": name, "cronExpression": expression, **start_body(data, metadata, priority)}
    with Api(url, token) as api:
        made = api.post(f"/api/v1/tenants/{{tenant}}/workflows/{workflow}/crons", body)
    identity = made["metadata"]["id"]
    done = f"Made cron {identity} of {workflow}; due next {moment(made.get('nextAt'))}. Undo: limpet crons delete {identity}"
    print_done(made, done, json=json)


@app.command(epilog=examples(f"limpet crons pause {ID}"))
def pause(cron: Cron, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Switch a cron off; its ticks are not made up later."""
    done = f"The cron starts nothing. Switch it on: limpet crons resume {cron}"
    switch(cron, url, token, done, is_on=False, json=json)


@app.command(epilog=examples(f"limpet crons resume {ID}"))
def resume(cron: Cron, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Switch a cron on again."""
    switch(cron, url, token, "The cron goes on.", is_on=True, json=json)


@app.command(epilog=examples(f"limpet crons trigger {ID}"))
def trigger(cron: Cron, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Start the run of a cron now, whatever the time."""
    with Api(url, token) as api:
        started = api.post(f"{LIST}/{cron}", {})
    print_started(started, json=json)


@app.command(epilog=examples(f"limpet crons delete {ID}"))
def delete(cron: Cron, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Delete a cron that was made by a call; runs it started go on."""
    with Api(url, token) as api:
        api.delete(f"{LIST}/{cron}")
    print_done({"id": cron, "deleted": True}, f"Deleted cron {cron}.", json=json)


def switch(cron: str, url: str | None, token: str | None, done: str, *, is_on: bool, json: bool) -> None:
    """On or off."""
    with Api(url, token) as api:
        api.patch(f"{LIST}/{cron}", {"enabled": is_on})
    print_done({"id": cron, "enabled": is_on}, done, json=json)


def cron_row(row: JsonObject) -> tuple[object, ...]:
    """One line of `crons list`."""
    due = moment(row.get("nextAt")) if row.get("enabled") else "paused"
    made_by = "a call" if row.get("method") == "API" else "its workflow"
    return row["metadata"]["id"], row["workflowName"], row["cron"], row.get("name"), due, made_by
