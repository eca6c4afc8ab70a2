"""Idempotency keys that runs hold. Plain reads and writes of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from limpet.core.claim_rows import ClaimRow
from limpet.core.ids import TenantNo
from limpet.store.sqlite.statements import statement


def look_up(connection: sqlite3.Connection, tenant_no: TenantNo, names: Collection[bytes]) -> dict[bytes, ClaimRow]:
    """By name, expired ones too."""
    text = statement("claim_by_name")
    rows = (row for name in names for row in connection.execute(text, (tenant_no, name)))
    return {row.name: row for row in map(ClaimRow._make, rows)}


def write(connection: sqlite3.Connection, dropped: Sequence[int], claims: Sequence[ClaimRow]) -> int:
    """What a commit gives up, then what it takes; a key may be both."""
    connection.executemany(statement("delete_claim"), [(key,) for key in dropped])
    connection.executemany(statement("insert_claim"), claims)
    return len(dropped) + len(claims)


def expired(connection: sqlite3.Connection, before: int, limit: int) -> list[int]:
    """Some that have expired."""
    return [key for (key,) in connection.execute(statement("expired_claims"), {"before": before, "limit": max(0, limit)})]
