"""`limpet token`: who may call an engine."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from limpet.cli import defaults
from limpet.cli.durations import milliseconds
from limpet.cli.exits import Misuse
from limpet.cli.grammar import Json, StoreFile, command_group, examples
from limpet.cli.options import GrpcAddress, KeyFile, ServerUrl
from limpet.cli.printing import iso, print_json, print_line, print_note, print_table
from limpet.core.ids import SECOND_US

COLUMNS = ("token", "name", "tenant", "state", "created", "expires", "last used")
SHOWN = ("id", "name", "tenant", "state", "created_at", "expires_at", "last_used_at")

app: typer.Typer = command_group("Create, list and revoke the tokens that clients authenticate with.")


@app.command(
    epilog=examples(
        "limpet token create ci --store limpet.db",
        "limpet token create web --expires 30d --public-grpc engine.example.com:7077",
        "limpet token create search --tenant search-team --store limpet.db",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the token is for; shown in lists.")],
    store: StoreFile = None,
    tenant: Annotated[
        str | None,
        typer.Option(help="The tenant it opens: its id, or its name when only one has it; else the first.", show_default=False),
    ] = None,
    expires: Annotated[str, typer.Option(help="How long it is valid, for example 30d.")] = "90d",
    key_file: KeyFile = None,
    public_grpc: GrpcAddress = "",
    public_url: ServerUrl = "",
    json: Json = False,
) -> None:
    """Make a token and print it, this once: the store does not keep it."""
    from limpet.cli.plan import key_file_of, lasting_store  # the engine's parts are imported when they are needed, not for help
    from limpet.cli.roster import new_token, with_roster
    from limpet.edges.signing import SigningKeyError, load_key_ring
    from limpet.edges.tokens import Addresses, Minted, mint_token

    lifetime_s = milliseconds(expires) // 1_000
    if lifetime_s < 1:
        raise Misuse(f"A token for {expires} would be expired at once.", "Give at least one second.")
    addresses = Addresses(public_url or defaults.DEV_URL, public_grpc or f"{defaults.LOOPBACK}:{defaults.GRPC_PORT}")
    try:
        keys = load_key_ring(key_file or key_file_of(lasting_store(store)))
    except SigningKeyError as error:
        raise Misuse(str(error)) from error

    def mint(owner: Any) -> Minted:
        return mint_token(keys, owner, name, addresses, lifetime_s=lifetime_s)

    minted, owner = with_roster(store, lambda roster: new_token(roster, tenant, mint), create=True)
    if json:
        print_json({**shown(minted.row, owner), "token": minted.token})
    else:
        print_line(minted.token)
        print_note(
            f"Token {minted.row.id} of the tenant {owner.name} for {addresses.grpc_broadcast_address}, valid for {expires}. "
            "It is not shown again."
        )


@app.command("list", epilog=examples("limpet token list --store limpet.db"))
def list_tokens(store: StoreFile = None, json: Json = False) -> None:
    """List tokens, the revoked and expired ones too."""
    from limpet.cli.roster import owned_tokens, with_roster

    found = [shown(*each) for each in with_roster(store, owned_tokens)]
    if json:
        print_json(found)
    else:
        rows = [tuple(each[key] for key in SHOWN) for each in found]
        print_table(COLUMNS, rows, empty="This store has no tokens. Make one: limpet token create NAME")


@app.command(epilog=examples("limpet token revoke ci --store limpet.db"))
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of a token, or its name when only one valid token has it.")],
    store: StoreFile = None,
    json: Json = False,
) -> None:
    """Take a token back. A running engine obeys within ten seconds, for open streams too."""
    from limpet.cli.roster import revoke_token, with_roster

    revoked = shown(*with_roster(store, lambda roster: revoke_token(roster, token)))
    if json:
        print_json(revoked)
    else:
        print_line(f"Token {revoked['id']} ({revoked['name']}) is revoked; engines obey within ten seconds.")


def shown(row: Any, tenant: Any) -> dict[str, str | None]:
    """A token's row as people and programs read it."""
    return {
        "id": row.id,
        "name": row.name,
        "tenant": tenant.name,
        "tenant_id": tenant.id,
        "state": state_of(row.revoked_at, row.expires_at),
        "created_at": iso(row.created_at),
        "expires_at": iso(row.expires_at),
        "revoked_at": iso(row.revoked_at),
        "last_used_at": iso(row.last_used_at),
    }


def state_of(revoked_at: int | None, expires_at: int) -> str:
    """Whether a token still opens anything."""
    if revoked_at is not None:
        return "revoked"
    return "expired" if expires_at < time.time() * SECOND_US else "valid"
