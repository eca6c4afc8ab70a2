"""`limpet workers`: who is connected, what they offer, who shall get no more work."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from limpet.cli.api import Api
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.names import worker_of
from limpet.cli.printing import JsonObject, moment, print_json, print_line, print_table

COLUMNS = ("worker", "name", "status", "slots free/all", "last heartbeat", "labels")

app: typer.Typer = command_group("List, pause and unpause workers; read their labels.")

Worker = Annotated[str, typer.Argument(metavar="WORKER", help="Id of a worker, or its name when only one has it.")]


@app.command("list", epilog=examples("limpet workers list", "limpet workers list --all --json"))
def list_workers(
    all_of_them: Annotated[bool, typer.Option("--all", help="Also those that are gone.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List workers with their slots and labels."""
    statuses = [] if all_of_them else ["ACTIVE", "PAUSED"]
    with Api(url, token) as api:
        found = api.get("/api/v1/tenants/{tenant}/worker", {"statuses": statuses, "limit": limit})
    if json:
        print_json(found)
    else:
        nothing = "No worker is connected. Start one: limpet worker MODULE"
        print_table(COLUMNS, [worker_row(row) for row in found.get("rows") or ()], empty=nothing)


@app.command(epilog=examples("limpet workers pause my-worker"))
def pause(worker: Worker, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Give a worker no new tasks; what it runs goes on."""
    set_paused(worker, url, token, is_paused=True, json=json)


@app.command(epilog=examples("limpet workers unpause my-worker"))
def unpause(worker: Worker, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Give a paused worker tasks again."""
    set_paused(worker, url, token, is_paused=False, json=json)


@app.command(epilog=examples("limpet workers labels my-worker"))
def labels(worker: Worker, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Show what a worker says about itself; tasks choose workers by it."""
    with Api(url, token) as api:
        found = label_values(worker_of(api, worker))
    if json:
        print_json(found)
    else:
        print_table(("label", "value"), list(found.items()), empty=f"The worker {worker} has no labels.")


def set_paused(worker: str, url: str | None, token: str | None, *, is_paused: bool, json: bool) -> None:
    """Change a worker's state and say what it is now."""
    with Api(url, token) as api:
        identity = worker_of(api, worker)["metadata"]["id"]
        changed = api.patch(f"/api/v1/workers/{identity}", {"isPaused": is_paused})
    if json:
        print_json(changed)
    elif is_paused:
        print_line(f"The worker {changed['name']} gets no new tasks. Undo it: limpet workers unpause {identity}")
    else:
        print_line(f"The worker {changed['name']} gets tasks again.")


def worker_row(row: JsonObject) -> tuple[object, ...]:
    """One line of `workers list`."""
    labels_text = " ".join(f"{key}={value}" for key, value in label_values(row).items())
    return row["metadata"]["id"], row["name"], row.get("status"), slots_text(row), moment(row.get("lastHeartbeatAt")), labels_text


def label_values(row: JsonObject) -> dict[str, Any]:
    """A worker's labels by key."""
    return {label["key"]: label.get("value") for label in row.get("labels") or ()}


def slots_text(row: JsonObject) -> str:
    """Free and all slots, by type when there is more than one."""
    pools = row.get("slotConfig") or {}
    texts = {kind: f"{pool.get('available', '?')}/{pool['limit']}" for kind, pool in pools.items()}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return " ".join(f"{kind}={text}" for kind, text in texts.items())
