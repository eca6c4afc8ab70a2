"""Ids of what a call makes that its client may repeat: the same call names the same things (I5)."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

from limpet.core.ids import TenantId


def repeatable_id(tenant: TenantId, request_id: str, index: int = 0) -> str:
    """Of the thing with that index in the call with that request id."""
    digest = sha256(f"{tenant}\n{request_id}\n{index}".encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))
