"""What a token says about itself. Nothing is verified here: that is the engine's work."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from limpet.cli.exits import Misuse

HINT = "Copy it again, whole and without quotes, or make a new one with `limpet token create`."


@dataclass(frozen=True, slots=True)
class Claims:
    """The part of a token's payload that a client reads. Instants in seconds since 1970; None: not said."""

    tenant_id: str
    server_url: str
    grpc_address: str
    issued_at: float | None
    expires_at: float | None


def read_claims(token: str) -> Claims:
    """The claims of a token. Raises Misuse when it is not in the form of one."""
    parts = token.strip().split(".")
    if len(parts) != 3:
        raise Misuse(f"The token has {len(parts)} parts instead of 3.", HINT)
    payload = decode(parts[1])
    tenant = payload.get("sub")
    if not isinstance(tenant, str) or not tenant:
        raise Misuse("The token names no tenant (claim `sub`).", HINT)
    return Claims(
        tenant,
        str(payload.get("server_url") or ""),
        str(payload.get("grpc_broadcast_address") or ""),
        instant(payload.get("iat")),
        instant(payload.get("exp")),
    )


def decode(part: str) -> dict[str, Any]:
    """The middle part of a token: a JSON object in base64url."""
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError) as error:
        raise Misuse("The token's payload cannot be read.", HINT) from error
    if not isinstance(value, dict):
        raise Misuse("The token's payload is no JSON object.", HINT)
    return value


def instant(value: object) -> float | None:
    """A number of seconds, or nothing."""
    return float(value) if isinstance(value, int | float) else None
