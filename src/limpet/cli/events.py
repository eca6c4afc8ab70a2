"""`limpet events`: push one, and see what events started."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from limpet.cli.api import Api
from limpet.cli.given import read_input, read_metadata
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.names import workflow_id_of
from limpet.cli.printing import JsonObject, moment, pairs, print_json, print_line, print_table
from limpet.cli.run_pages import print_fact, shortened

COLUMNS = ("event", "key", "scope", "pushed", "runs", "metadata")
FAILURE_COLUMNS = ("when", "source", "about", "event", "message")
EVENTS = "/api/v1/stable/tenants/{tenant}/events"

app: typer.Typer = command_group("Push events; see which runs they started.")

Scopes = Annotated[list[str] | None, typer.Option("--scope", help="Only of this scope; may be repeated.", show_default=False)]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]


@app.command(
    epilog=examples(
        """limpet events push order:created --payload '{"order": 42}'""",
        "limpet events push invoice --payload @invoice.json --scope eu --metadata customer=42 --priority 3",
    )
)
def push(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the event; workflows that are registered for it start.")],
    given: Annotated[str, typer.Option("--payload", help="A JSON object, @FILE, or - for standard input.")] = "{}",
    scope: Annotated[str | None, typer.Option(help="What filters of workflows go by.", show_default=False)] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(help="key=value to keep with event and runs; may be repeated.", show_default=False)
    ] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=3, help="Of its runs: 1 low, 2, 3 high.", show_default=False)] = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Push an event and say which runs it started."""
    body: dict[str, Any] = {"key": key, "data": read_input(given, "payload"), "additionalMetadata": read_metadata(metadata)}
    body |= {name: value for name, value in (("scope", scope), ("priority", priority)) if value is not None}
    with Api(url, token) as api:
        event = api.post("/api/v1/tenants/{tenant}/events", body)
    if json:
        print_json(event)
    else:
        print_started(event)


@app.command("list", epilog=examples("limpet events list", "limpet events list --key order:created --limit 10 --json"))
def list_events(
    key: Annotated[list[str] | None, typer.Option(help="Only with this key; may be repeated.", show_default=False)] = None,
    scope: Scopes = None,
    workflow: Annotated[str | None, typer.Option(help="Only those that started this workflow.", show_default=False)] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="key=value that it must have.", show_default=False)] = None,
    limit: Limit = 50,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List events, newest first, with how many runs each started."""
    wanted = [f"{name}:{value}" for name, value in read_metadata(metadata).items()]
    with Api(url, token) as api:
        workflows = [] if workflow is None else [workflow_id_of(api, workflow)]
        query = {"keys": key, "scopes": scope, "workflowIds": workflows, "additionalMetadata": wanted, "limit": limit}
        found = api.get(EVENTS, query)
    if json:
        print_json(found)
    else:
        nothing = "There is no such event. Push one: limpet events push KEY"
        print_table(COLUMNS, [event_row(row) for row in found["rows"]], empty=nothing)


@app.command(epilog=examples("limpet events get 01998b8a-2d1e-7c3f-9d5b-2f0f5f6f7a11"))
def get(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Id of an event.")],
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Show an event and the runs it started."""
    with Api(url, token) as api:
        found = api.get(f"{EVENTS}/{event}")
    if json:
        print_json(found)
    else:
        print_event(found)


@app.command(epilog=examples("limpet events failures", "limpet events failures --limit 5 --json"))
def failures(limit: Limit = 50, url: Url = None, token: Token = None, json: Json = False) -> None:
    """List expressions of filters and webhooks that failed."""
    with Api(url, token) as api:
        found = api.get("/api/v1/stable/tenants/{tenant}/cel/failures", {"limit": limit})
    if json:
        print_json(found)
    else:
        print_table(FAILURE_COLUMNS, [failure_row(row) for row in found["rows"]], empty="No expression has failed.")


def print_started(event: JsonObject) -> None:
    """What a push led to."""
    identity, runs = event["metadata"]["id"], [run["workflowRunId"] for run in event["triggeredRuns"]]
    if not runs:
        print_line(f"Pushed {event['key']} as {identity}; it started no run.")
        print_line("No workflow is registered for this key, or no filter lets it through: limpet filters list")
        return
    print_line(f"Pushed {event['key']} as {identity}; it started {len(runs)} run{'s' if len(runs) > 1 else ''}:")
    for run in runs:
        print_line(f"  {run}")


def print_event(event: JsonObject) -> None:
    """An event as facts."""
    print_fact("Event", event["metadata"]["id"])
    print_fact("Key", event["key"])
    print_fact("Scope", event.get("scope") or "")
    print_fact("Pushed", moment(event["seenAt"]))
    print_fact("Webhook", event.get("triggeringWebhookName") or "")
    print_fact("Metadata", pairs(event["additionalMetadata"]))
    print_fact("Payload", shortened(event["payload"]))
    print_line()
    rows = [(run["workflowRunId"], run.get("filterId")) for run in event["triggeredRuns"]]
    print_table(("run", "filter"), rows, empty="It started no run.")


def event_row(row: JsonObject) -> tuple[object, ...]:
    """One line of `events list`."""
    counts = {name: count for name, count in row["workflowRunSummary"].items() if count}
    runs = " ".join(f"{count} {name}" for name, count in counts.items())
    return row["metadata"]["id"], row["key"], row.get("scope"), moment(row["seenAt"]), runs, pairs(row["additionalMetadata"])


def failure_row(row: JsonObject) -> tuple[object, ...]:
    """One line of `events failures`."""
    return moment(row["at"]), row["source"].lower(), row["about"], row.get("eventId"), row["message"]
