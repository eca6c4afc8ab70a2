"""`limpet schedules`: runs that are to start at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from limpet.cli.api import Api
from limpet.cli.given import read_metadata
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.names import workflow_id_of
from limpet.cli.planned import Given, Metadata, OfWorkflow, RunPriority, print_started, read_time, start_body
from limpet.cli.printing import JsonObject, moment, pairs, print_done, print_json, print_table

LIST = "/api/v1/tenants/{tenant}/workflows/scheduled"
COLUMNS = ("schedule", "workflow", "starts", "metadata")
ID = "01a0c450-6c00-7953-88f4-4348692302eb"

app: typer.Typer = command_group("List, create, trigger and delete scheduled runs.")

Schedule = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Id of a scheduled run.")]


@app.command("list", epilog=examples("limpet schedules list", "limpet schedules list --workflow report --metadata who=me --json"))
def list_schedules(
    workflow: OfWorkflow = None,
    metadata: Annotated[
        list[str] | None, typer.Option(help="key=value that it must have; may be repeated.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List runs that are still to start, the earliest first."""
    wanted = [f"{key}:{value}" for key, value in read_metadata(metadata).items()]
    order = {"orderByField": "triggerAt", "orderByDirection": "ASC"}
    with Api(url, token) as api:
        workflow_id = None if workflow is None else workflow_id_of(api, workflow)
        found = api.get(LIST, {"workflowId": workflow_id, "additionalMetadata": wanted, "limit": limit, **order})
    if json:
        print_json(found)
    else:
        nothing = "No run is scheduled. Schedule one: limpet schedules create WORKFLOW TIME"
        print_table(COLUMNS, [schedule_row(row) for row in found.get("rows") or ()], empty=nothing)


@app.command(
    epilog=examples(
        "limpet schedules create report 2027-01-01T06:00:00Z",
        """limpet schedules create report "2027-01-01 07:00" --input '{"region": "eu"}' --metadata who=me""",
    )
)
def create(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow.")],
    time: Annotated[
        str,
        typer.Argument(metavar="TIME", help="ISO 8601, without a zone in that of this machine. A past one starts at once."),
    ],
    data: Given = "{}",
    metadata: Metadata = None,
    priority: RunPriority = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Start a workflow once, at a time."""
    body = {"triggerAt": read_time(time).isoformat(), **start_body(data, metadata, priority)}
    with Api(url, token) as api:
        made = api.post(f"/api/v1/tenants/{{tenant}}/workflows/{workflow}/scheduled", body)
    identity, starts = made["metadata"]["id"], moment(made["triggerAt"])
    done = f"Scheduled {identity}: {workflow} starts {starts}. Undo: limpet schedules delete {identity}"
    print_done(made, done, json=json)


@app.command(epilog=examples(f"limpet schedules trigger {ID}"))
def trigger(schedule: Schedule, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Start a scheduled run now; it is gone from the list then."""
    with Api(url, token) as api:
        started = api.post(f"{LIST}/{schedule}", {})
    print_started(started, json=json)


@app.command(epilog=examples(f"limpet schedules delete {ID}"))
def delete(schedule: Schedule, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Delete a scheduled run; it never starts."""
    with Api(url, token) as api:
        api.delete(f"{LIST}/{schedule}")
    print_done({"id": schedule, "deleted": True}, f"Deleted scheduled run {schedule}.", json=json)


def schedule_row(row: JsonObject) -> tuple[object, ...]:
    """One line of `schedules list`."""
    return row["metadata"]["id"], row["workflowName"], moment(row.get("triggerAt")), pairs(row.get("additionalMetadata"))
