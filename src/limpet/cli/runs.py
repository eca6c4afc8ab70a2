"""`limpet runs`: what ran, what waits and why, what to stop and what to do again."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from limpet.cli.api import PAGE_MAX, Api, Query
from limpet.cli.durations import milliseconds
from limpet.cli.exits import Missing, Misuse
from limpet.cli.follow import ENDED, follow_logs
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.names import workflow_id_of
from limpet.cli.printing import JsonObject, moment, pairs, print_json, print_line, print_table, span
from limpet.cli.run_pages import print_explanation, print_run

STATUSES = ("QUEUED", "RUNNING", "COMPLETED", "CANCELLED", "FAILED")

LIST_COLUMNS = ("run", "workflow", "status", "created", "took", "metadata")

app: typer.Typer = command_group("List, read, explain, cancel and replay runs; read their logs.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or of one of its tasks.")]
RunIds = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids of runs or tasks.", show_default=False)]
Since = Annotated[str, typer.Option(help="How far back, for example 15m, 24h, 7d.")]
Statuses = Annotated[
    list[str] | None, typer.Option("--status", help=f"One of {', '.join(STATUSES)}; may be repeated.", show_default=False)
]
WorkflowName = Annotated[str | None, typer.Option("--workflow", help="Only runs of this workflow.", show_default=False)]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", help="Only runs with this key=value; may be repeated.", show_default=False)
]


@app.command(
    "list", epilog=examples("limpet runs list --status FAILED --since 7d", "limpet runs list --metadata customer=42 --json")
)
def list_runs(
    since: Since = "24h",
    status: Statuses = None,
    workflow: WorkflowName = None,
    metadata: Metadata = None,
    worker: Annotated[str | None, typer.Option(help="Only tasks of this worker id.", show_default=False)] = None,
    tasks: Annotated[bool, typer.Option("--tasks", help="List single tasks instead of runs.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Leave out so many of the newest.")] = 0,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    with Api(url, token) as api:
        query: Query = {
            "since": instant_before(since),
            "only_tasks": tasks,
            "statuses": checked_statuses(status),
            "workflow_ids": [workflow_id_of(api, workflow)] if workflow else [],
            "additional_metadata": [metadata_pair(pair) for pair in metadata or ()],
            "worker_id": worker,
            "limit": limit,
            "offset": offset,
            "include_payloads": json,
        }
        found = api.get("/api/v1/stable/tenants/{tenant}/workflow-runs", query)
    if json:
        print_json(found)
    else:
        nothing = (
            f"No runs in the last {since} match. Look further back with --since 7d, or trigger one: limpet workflows trigger NAME"
        )
        print_table(LIST_COLUMNS, [list_row(row, tasks=tasks) for row in found["rows"]], empty=nothing)


@app.command(epilog=examples("limpet runs get 01934f2e-0000-7000-8000-000000000001"))
def get(run: RunId, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Show a run: its tasks, what happened to them, its output."""
    with Api(url, token) as api:
        details = run_details(api, run)
        names = {} if json else worker_names(api, details)
    if json:
        print_json(details)
    else:
        print_run(details, names)


@app.command(epilog=examples("limpet runs explain 01934f2e-0000-7000-8000-000000000001"))
def explain(run: RunId, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Say why a task waits, or where it is. For a run: each of its unfinished tasks."""
    with Api(url, token) as api:
        answers = [api.get(f"/api/v1/stable/tasks/{task}/explain") for task in waiting_tasks(api, run)]
    if json:
        print_json(answers)
        return
    for answer in answers:
        print_explanation(answer)
    if not answers:
        print_line("Every task of this run has ended; nothing waits.")


@app.command(epilog=examples("limpet runs cancel RUN", "limpet runs cancel --workflow nightly --status QUEUED --since 2h"))
def cancel(
    runs: RunIds = None,
    since: Since = "24h",
    status: Statuses = None,
    workflow: WorkflowName = None,
    metadata: Metadata = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Stop runs: by id, or all that match the filters."""
    with Api(url, token) as api:
        body = selection(api, runs, since, status, workflow, metadata)
        ids = api.post("/api/v1/stable/tenants/{tenant}/tasks/cancel", body).get("ids") or []
        check_reached(api, runs, ids)
    print_ids("Cancelling", ids, json=json)


@app.command(epilog=examples("limpet runs replay RUN", "limpet runs replay --workflow nightly --status FAILED --since 1d"))
def replay(
    runs: RunIds = None,
    since: Since = "24h",
    status: Statuses = None,
    workflow: WorkflowName = None,
    metadata: Metadata = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Do runs again: by id, or all that match the filters. The input stays the same."""
    with Api(url, token) as api:
        body = selection(api, runs, since, status, workflow, metadata)
        ids = api.post("/api/v1/stable/tenants/{tenant}/tasks/replay", body).get("ids") or []
        check_reached(api, runs, ids)
    print_ids("Replaying", ids, json=json)


@app.command(epilog=examples("limpet runs logs RUN --follow", "limpet runs logs RUN --level ERROR --search timeout"))
def logs(
    run: RunId,
    level: Annotated[
        list[str] | None, typer.Option(help="DEBUG, INFO, WARN or ERROR; may be repeated.", show_default=False)
    ] = None,
    search: Annotated[str | None, typer.Option(help="Only lines with this text.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many lines of each task.")] = 1000,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more lines until the run has ended.")] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Print what the tasks of a run wrote."""
    query = {"levels": [name.upper() for name in level or ()], "search": search, "limit": limit, "order_by_direction": "ASC"}
    with Api(url, token) as api:
        for line in follow_logs(api, run_details(api, run), query, keep_waiting=follow):
            if json:
                print_json(line)
            else:
                print_line(f"{moment(line['createdAt'])} {line.get('level') or 'INFO':5} {line['message']}")


def run_details(api: Api, run: str) -> Any:
    """A run by its own id or by the id of one of its tasks."""
    try:
        return api.get(f"/api/v1/stable/workflow-runs/{run}")
    except Missing:
        task = task_details(api, run)
    return api.get(f"/api/v1/stable/workflow-runs/{task['workflowRunExternalId']}")


def task_details(api: Api, task: str) -> Any:
    """A task by its id, which is no run's either. Raises Missing."""
    try:
        return api.get(f"/api/v1/stable/tasks/{task}")
    except Missing as error:
        raise Missing(f"There is no run and no task {task}.", "`limpet runs list` shows the newest runs.") from error


def worker_names(api: Api, details: JsonObject) -> dict[str, str]:
    """The workers that a run's timeline mentions; one that shares its name with another, or is forgotten, keeps its id."""
    mentioned = {event["workerId"] for event in details["taskEvents"] if event.get("workerId")}
    if not mentioned:
        return {}
    rows = api.get("/api/v1/tenants/{tenant}/worker", {"limit": PAGE_MAX}).get("rows") or []
    found = {row["metadata"]["id"]: row["name"] for row in rows if row["metadata"]["id"] in mentioned}
    times = Counter(found.values())
    return {identity: name for identity, name in found.items() if times[name] == 1}


def waiting_tasks(api: Api, run: str) -> list[str]:
    """The ids to explain: the unfinished tasks of a run; a task's own id when that is what was given."""
    try:
        details = api.get(f"/api/v1/stable/workflow-runs/{run}")
    except Missing:
        return [task_details(api, run)["taskExternalId"]]
    return [task["taskExternalId"] for task in details["tasks"] if task["status"] not in ENDED]


def selection(
    api: Api, runs: list[str] | None, since: str, status: list[str] | None, workflow: str | None, metadata: list[str] | None
) -> dict[str, Any]:
    """The request for a bulk action: ids, or a filter; never everything by accident."""
    filters = {
        "statuses": checked_statuses(status),
        "workflowIds": [workflow_id_of(api, workflow)] if workflow else [],
        "additionalMetadata": [metadata_pair(pair) for pair in metadata or ()],
    }
    wanted = {key: value for key, value in filters.items() if value}
    if bool(runs) == bool(wanted):
        raise Misuse("Name either ids of runs, or filters.", "For example: limpet runs cancel --workflow nightly --since 2h")
    return {"externalIds": runs} if runs else {"filter": {"since": instant_before(since), **wanted}}


def check_reached(api: Api, runs: list[str] | None, reached: list[str]) -> None:
    """Nothing was reached by ids: either there was nothing to do, or the ids are wrong. Raises Missing for the latter."""
    for run in () if reached else runs or ():
        run_details(api, run)


def checked_statuses(names: list[str] | None) -> list[str]:
    """Statuses as the API writes them."""
    found = [name.upper() for name in names or ()]
    unknown = [name for name in found if name not in STATUSES]
    if unknown:
        raise Misuse(f"There is no status {unknown[0]}.", f"Write one of {', '.join(STATUSES)}.")
    return found


def metadata_pair(text: str) -> str:
    """`key=value` as the API's filter writes it."""
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise Misuse(f"'{text}' is no metadata filter.", "Write key=value, for example --metadata customer=42")
    return f"{key}:{value}"


def instant_before(text: str) -> str:
    """The instant a span before now, as the API reads it."""
    return (datetime.now(UTC) - timedelta(milliseconds=milliseconds(text))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def list_row(row: dict[str, Any], *, tasks: bool) -> tuple[object, ...]:
    """One line of `runs list`."""
    identity = row["taskExternalId"] if tasks else row["workflowRunExternalId"]
    name = row["displayName"] if tasks else row.get("workflowName") or row["displayName"]
    return (
        identity,
        name,
        row["status"],
        moment(row["createdAt"]),
        span(row.get("duration")),
        pairs(row.get("additionalMetadata")),
    )


def print_ids(doing: str, ids: list[str], *, json: bool) -> None:
    """What a bulk action reached."""
    if json:
        print_json({"ids": ids})
        return
    print_line(f"{doing} {len(ids)} {'task' if len(ids) == 1 else 'tasks'}.")
    for identity in ids:
        print_line(f"  {identity}")
