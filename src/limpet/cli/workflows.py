"""`limpet workflows`: what is registered, one run of it, and pauses."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from limpet.cli.api import Api
from limpet.cli.exits import CommandError
from limpet.cli.failures import headline
from limpet.cli.follow import wait_for_run
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.names import workflow_id_of
from limpet.cli.planned import Given, Metadata, RunPriority, start_body
from limpet.cli.printing import JsonObject, moment, print_done, print_json, print_line, print_table, printable

COLUMNS = ("workflow", "name", "paused", "registered", "description")


class Meanwhile(StrEnum):
    """What becomes of runs that the clock would start while their workflow is paused."""

    QUEUE = "queue"
    DROP = "drop"


app: typer.Typer = command_group("List workflows, trigger one, pause one.")


@app.command("list", epilog=examples("limpet workflows list", "limpet workflows list --name nightly --json"))
def list_workflows(
    name: Annotated[str | None, typer.Option(help="Only those with this in their name.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List registered workflows."""
    with Api(url, token) as api:
        found = api.get("/api/v1/tenants/{tenant}/workflows", {"name": name, "limit": limit})
    if json:
        print_json(found)
    else:
        nothing = "No workflow is registered. A worker registers its workflows when it starts: limpet worker MODULE"
        rows = found.get("rows") or ()
        print_table(COLUMNS, [workflow_row(row) for row in rows], empty=nothing)
        for warning in (text for row in rows for text in row.get("warnings") or ()):
            print_line(printable(warning))


@app.command(
    epilog=examples(
        """limpet workflows trigger greet --input '{"name": "Ada"}' --wait""",
        "limpet workflows trigger nightly --input @input.json --metadata customer=42 --priority 3",
    )
)
def trigger(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow.")],
    data: Given = "{}",
    metadata: Metadata = None,
    priority: RunPriority = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end and print the output; exit code 1 unless it completed.")
    ] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Start a run of a workflow."""
    body = {"workflowName": workflow, **start_body(data, metadata, priority)}
    with Api(url, token) as api:
        details = triggered(api, body)
        if wait:
            details = wait_for_run(api, details["run"]["metadata"]["id"])
    if wait:
        print_result(details["run"], json=json)
    elif json:
        print_json(details)
    else:
        identity = details["run"]["metadata"]["id"]
        print_line(f"Started run {identity} of {workflow}. Follow it: limpet runs get {identity}")


@app.command(
    epilog=examples(
        "limpet workflows pause nightly", "limpet workflows pause nightly --queue-ttl 2h --crons drop --schedules drop"
    )
)
def pause(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow.")],
    queue_ttl: Annotated[
        str, typer.Option(help="How long a task waits for the end of the pause before it is cancelled, as in 90s or 2h.")
    ] = "24h",
    crons: Annotated[Meanwhile, typer.Option(help="What becomes of runs that its crons start meanwhile.")] = Meanwhile.QUEUE,
    schedules: Annotated[
        Meanwhile, typer.Option(help="What becomes of scheduled runs that come due meanwhile.")
    ] = Meanwhile.QUEUE,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Keep a workflow's runs from starting; those that run go on."""
    terms = {
        "action": "pause",
        "pausedWorkflowQueueTTL": queue_ttl,
        "pausedWorkflowCronRunQueueBehavior": crons.name,
        "pausedWorkflowScheduledRunQueueBehavior": schedules.name,
    }
    change_pause(workflow, terms, f"Paused {workflow}. Runs that have not started wait.", url=url, token=token, json=json)


@app.command(epilog=examples("limpet workflows unpause nightly"))
def unpause(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow.")],
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Let a workflow's runs start again."""
    change_pause(workflow, {"action": "unpause"}, f"{workflow} goes on.", url=url, token=token, json=json)


def change_pause(
    workflow: str, pause: dict[str, str], done: str, *, url: str | None, token: str | None, json: bool
) -> None:  # fmt: skip
    """Change the pause, and say so."""
    with Api(url, token) as api:
        found = api.patch(f"/api/v1/workflows/{workflow_id_of(api, workflow)}", {"pause": pause})
    print_done(found, done, json=json)


def triggered(api: Api, body: dict[str, Any]) -> Any:
    """The started run. Raises Missing when it is the workflow that does not exist."""
    try:
        return api.post("/api/v1/stable/tenants/{tenant}/workflow-runs/trigger", body)
    except CommandError:
        workflow_id_of(api, body["workflowName"])
        raise


def print_result(run: JsonObject, *, json: bool) -> None:
    """The output of an ended run; a failure when it did not complete."""
    if json:
        print_json(run)
    elif run["status"] == "COMPLETED":
        print_json(run["output"])
    if run["status"] != "COMPLETED":
        identity = run["metadata"]["id"]
        ending = f": {printable(headline(run['errorMessage']))}" if run.get("errorMessage") else "."
        raise CommandError(f"Run {identity} is {run['status']}{ending}", f"See what happened: limpet runs get {identity}")


def workflow_row(row: JsonObject) -> tuple[object, ...]:
    """One line of `workflows list`."""
    paused = "yes" if row.get("isPaused") else ""
    created = moment(row["metadata"].get("createdAt"))
    return row["metadata"]["id"], row["name"], paused, created, row.get("description")
