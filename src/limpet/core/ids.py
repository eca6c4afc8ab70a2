"""Names of things. No bare `str` or `int` travels through the core.

Laws:
1. A *key* is an integer row key, made by the engine, ordered by creation (design D5).
2. An *id* is what the outside sees: a UUIDv7 text, made from a key, an instant and a salt handed in at load.
   Nothing here draws a random number; the same salt gives the same ids (R1).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", str)
TenantNo = NewType("TenantNo", int)
WorkflowId = NewType("WorkflowId", str)
WorkflowVersionId = NewType("WorkflowVersionId", str)
WorkflowRunId = NewType("WorkflowRunId", str)
TaskRunId = NewType("TaskRunId", str)
WorkerId = NewType("WorkerId", str)
ActionId = NewType("ActionId", str)

WorkflowKey = NewType("WorkflowKey", int)
VersionKey = NewType("VersionKey", int)
RunKey = NewType("RunKey", int)
TaskKey = NewType("TaskKey", int)
WorkerKey = NewType("WorkerKey", int)
ClassId = NewType("ClassId", int)

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01 UTC. Durations are plain microseconds, named `…_us`."""

SECOND_US = 1_000_000
MILLISECOND_US = 1_000

TENANT_KEY_SHIFT = 40  # 2^40 keys a tenant, 2^23 tenants: both out of reach, and the key still fits 63 bits


def first_key(tenant_no: TenantNo) -> int:
    """The smallest row key of a tenant; its keys fill the range up to the next tenant's first."""
    return (tenant_no << TENANT_KEY_SHIFT) + 1


def last_key(tenant_no: TenantNo) -> int:
    """The largest row key that a tenant may have."""
    return first_key(TenantNo(tenant_no + 1)) - 2


def external_id(key: int, now: Instant, salt: bytes) -> str:
    """A UUIDv7 text for a row key: 48 bits of milliseconds, the rest a keyed digest of the key."""
    noise = int.from_bytes(blake2b(key.to_bytes(8, "big"), key=salt, digest_size=10).digest(), "big")
    millis = (now // MILLISECOND_US) & 0xFFFF_FFFF_FFFF
    bits = (millis << 80) | (0x7 << 76) | ((noise >> 62 & 0xFFF) << 64) | (0b10 << 62) | (noise & ((1 << 62) - 1))
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in its usual written form."""
    if len(text) != 36:
        return False
    try:
        UUID(text)
    except ValueError:
        return False
    return True
