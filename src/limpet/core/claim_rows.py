"""Idempotency keys that runs hold, for good: the tuple type of their table, as in `core.rows`."""

from __future__ import annotations

from typing import NamedTuple


class ClaimRow(NamedTuple):
    """An idempotency key while a run holds it. (tenant_no, name) is unique (W16.2).

    key:        that of the run
    name:       the idempotency key as UTF-8: an expression may give texts that a text column refuses
    expires_at: from that instant on it is free, also while the row waits to be purged (F9.6)
    """

    key: int
    tenant_no: int
    name: bytes
    run_id: str
    expires_at: int
