"""`limpet rate-limits`: how many units each limit has, how many are left, and setting them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from limpet.cli.api import Api
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.printing import JsonObject, moment, print_done, print_json, print_table

PATH = "/api/v1/tenants/{tenant}/rate-limits"
COLUMNS = ("key", "left", "limit", "window", "last refill", "refill at", "paused until")

app: typer.Typer = command_group("List, set and delete rate limits.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key that tasks name, or that their expression gives.")]


class Window(StrEnum):
    """How long a window is."""

    SECOND = "SECOND"
    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"


class Order(StrEnum):
    """What limits are ordered by."""

    KEY = "key"
    VALUE = "value"
    LIMIT = "limit"


@app.command("list", epilog=examples("limpet rate-limits list", "limpet rate-limits list --search api --order value"))
def list_rate_limits(
    search: Annotated[str | None, typer.Option(help="Only keys that contain this.")] = None,
    order: Annotated[Order, typer.Option(help="By key, by the units that are left, or by the units in all.")] = Order.KEY,
    descending: Annotated[bool, typer.Option("--descending", help="The largest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List rate limits as they stand now."""
    field = "limitValue" if order is Order.LIMIT else order.value
    direction = "desc" if descending else "asc"
    query = {"search": search, "orderByField": field, "orderByDirection": direction, "limit": limit}
    with Api(url, token) as api:
        found = api.get(PATH, query)
    if json:
        print_json(found)
    else:
        nothing = "There is no such rate limit. Set one: limpet rate-limits put KEY --limit 10 --window MINUTE"
        print_table(COLUMNS, [_row(row) for row in found.get("rows") or ()], empty=nothing)


@app.command(epilog=examples("limpet rate-limits put api --limit 100 --window MINUTE"))
def put(
    key: Key,
    limit: Annotated[int, typer.Option(min=0, help="Units in each window.")],
    window: Annotated[Window, typer.Option(case_sensitive=False, help="How long a window is.")] = Window.SECOND,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Set a rate limit, or change it at once.

    Units that are left never grow by a change.
    """
    body = {"key": key, "limitValue": limit, "window": window.value}
    with Api(url, token) as api:
        api.put(PATH, body)
    print_done(body, f"The rate limit {key} has {limit} units per {window.value} from now on.", json=json)


@app.command(epilog=examples("limpet rate-limits delete api"))
def delete(key: Key, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Forget a rate limit; tasks that need it wait for another."""
    with Api(url, token) as api:
        api.delete(PATH, {"key": key})
    print_done({"key": key}, f"The rate limit {key} is gone.", json=json)


def _row(row: JsonObject) -> tuple[object, ...]:
    """One line of `rate-limits list`."""
    return (
        row["key"], row["value"], row["limitValue"], row["window"], moment(row["lastRefill"]), moment(row.get("refillAt")),
        moment(row.get("pausedUntil")),
    )  # fmt: skip
