"""`limpet webhooks`: addresses that take posts of other services as events."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from limpet.cli.api import Api
from limpet.cli.events import Limit
from limpet.cli.exits import Misuse
from limpet.cli.given import read_input
from limpet.cli.grammar import Json, Token, Url, command_group, examples
from limpet.cli.printing import JsonObject, print_done, print_json, print_table

COLUMNS = ("name", "source", "auth", "event key", "scope", "address")
WEBHOOKS = "/api/v1/stable/tenants/{tenant}/webhooks"
SECRET_VARIABLE = "LIMPET_WEBHOOK_SECRET"

app: typer.Typer = command_group("Let other services post events.")

Source = Literal["GENERIC", "GITHUB", "STRIPE", "SLACK", "LINEAR", "SVIX"]
Auth = Literal["BASIC", "API_KEY", "HMAC"]
Algorithm = Literal["SHA1", "SHA256", "SHA512", "MD5"]
Encoding = Literal["HEX", "BASE64", "BASE64URL"]
HEADERS: dict[str, str] = {"GITHUB": "X-Hub-Signature-256", "LINEAR": "Linear-Signature", "STRIPE": "Stripe-Signature"}


@app.command("list", epilog=examples("limpet webhooks list", "limpet webhooks list --json"))
def list_webhooks(limit: Limit = 100, url: Url = None, token: Token = None, json: Json = False) -> None:
    """List webhooks with their addresses."""
    with Api(url, token) as api:
        found = api.get(WEBHOOKS, {"limit": limit})
        base = api.url
    if json:
        print_json(found)
    else:
        nothing = "There is no webhook. Create one: limpet webhooks create NAME EXPRESSION"
        print_table(COLUMNS, [webhook_row(row, base) for row in found["rows"]], empty=nothing)


@app.command(
    epilog=examples(
        """LIMPET_WEBHOOK_SECRET=… limpet webhooks create github "'github:' + headers['x-github-event']" --source GITHUB""",
        """limpet webhooks create partner input.kind --auth BASIC --username partner --scope-expression input.region""",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The last part of its address.")],
    expression: Annotated[str, typer.Argument(metavar="EXPRESSION", help="CEL over input and headers that gives the event key.")],
    source: Annotated[Source, typer.Option(help="Who posts.")] = "GENERIC",
    auth: Annotated[Auth, typer.Option(help="How a post shows that it may.")] = "HMAC",
    secret: Annotated[
        str | None,
        typer.Option(envvar=SECRET_VARIABLE, help="Password, key, or what signatures are made with.", show_default=False),
    ] = None,
    username: Annotated[str, typer.Option(help="Of BASIC.", show_default=False)] = "",
    header: Annotated[str, typer.Option(help="That carries the key or the signature.", show_default=False)] = "",
    algorithm: Annotated[Algorithm, typer.Option(help="Of HMAC.")] = "SHA256",
    encoding: Annotated[Encoding, typer.Option(help="Of the signature.")] = "HEX",
    scope_expression: Annotated[str | None, typer.Option(help="CEL that gives the event's scope.", show_default=False)] = None,
    static: Annotated[str, typer.Option("--static-payload", help="A JSON object that is put over every body, or @FILE.")] = "{}",
    quiet: Annotated[bool, typer.Option("--no-event", help="Answer posts with 204 instead of the event.")] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Create a webhook and print its address."""
    if not secret:
        raise Misuse("A webhook without a secret would let everybody post.", f"Set {SECRET_VARIABLE}, or give --secret.")
    credentials = credentials_of(auth, secret, username, header or HEADERS.get(source, "X-Signature"), algorithm, encoding)
    body: dict[str, Any] = {
        "sourceName": source, "name": name, "eventKeyExpression": expression, "scopeExpression": scope_expression,
        "staticPayload": read_input(static, "static-payload"), "returnEventAsResponsePayload": not quiet, "authType": auth,
        "auth": credentials,
    }  # fmt: skip
    with Api(url, token) as api:
        made, base = api.post(WEBHOOKS, body), api.url
    print_done(made, f"Created webhook {name}. Let posts go to {address_of(made, base)}", json=json)


@app.command(epilog=examples("limpet webhooks delete github"))
def delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a webhook.")],
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Delete a webhook; events that came by it stay."""
    with Api(url, token) as api:
        gone = api.delete(f"{WEBHOOKS}/{quote(name, safe='')}")
    print_done(gone, f"Deleted webhook {name}.", json=json)


def credentials_of(auth: str, secret: str, username: str, header: str, algorithm: str, encoding: str) -> dict[str, str]:
    """The object that the auth type needs."""
    if auth == "BASIC":
        return {"username": username, "password": secret}
    if auth == "API_KEY":
        return {"headerName": header, "apiKey": secret}
    return {"algorithm": algorithm, "encoding": encoding, "signatureHeaderName": header, "signingSecret": secret}


def address_of(row: JsonObject, base: str) -> str:
    """Where other services post to."""
    path = WEBHOOKS.replace("{tenant}", row["tenantId"])
    return f"{base}{path}/{quote(row['name'], safe='')}"


def webhook_row(row: JsonObject, base: str) -> tuple[object, ...]:
    """One line of `webhooks list`."""
    return (
        row["name"], row["sourceName"], row["authType"], row["eventKeyExpression"], row.get("scopeExpression"),
        address_of(row, base),
    )  # fmt: skip
