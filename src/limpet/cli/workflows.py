"""`limpet workflows`: what is registered, and one run of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from limpet.cli.api import Api
from limpet.cli.exits import CommandError
from limpet.cli.failures import headline
from limpet.cli.follow import wait_for_run
from limpet.cli.given import read_input, read_metadata
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.names import workflow_id_of
from limpet.cli.printing import JsonObject, moment, print_json, print_line, print_table, printable

COLUMNS = ("workflow", "name", "registered", "description")

app: typer.Typer = command_group("List workflows and trigger one.")


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
    given: Annotated[str, typer.Option("--input", help="A JSON object, @FILE, or - for standard input.")] = "{}",
    metadata: Annotated[
        list[str] | None, typer.Option(help="key=value to keep with the run; may be repeated.", show_default=False)
    ] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=3, help="1 low, 2, 3 high.", show_default=False)] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end and print the output; exit code 1 unless it completed.")
    ] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Start a run of a workflow."""
    body: dict[str, Any] = {"workflowName": workflow, "input": read_input(given), "additionalMetadata": read_metadata(metadata)}
    if priority is not None:
        body["priority"] = priority
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
    return row["metadata"]["id"], row["name"], moment(row["metadata"].get("createdAt")), row.get("description")
