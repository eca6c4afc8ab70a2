"""What PostgreSQL and its connections say, in the words of `store.api`: grouped by what the engine does about it (R8)."""

from __future__ import annotations

import asyncpg

from limpet.store.address import Address
from limpet.store.api import (
    CorruptStore,
    DataError,
    FenceMismatch,
    SchemaError,
    StoreError,
    TransientStoreError,
)

FENCE, OWNED = "LIM01", "LIM02"  # raised by our own functions
CANCELLED = "57014"  # by statement_timeout
LOCKED = "55P03"  # by lock_timeout
NO_PARTITION = "23514"  # a check: the only ones are those of partitions, and a day may go while a commit runs

# SQLSTATEs, or their first characters, whose cause may go away by itself or by an operator's hand; the longest that fits.
PASSING = {
    "08": "the connection is lost",
    "0A000": "its schema has just changed",
    "23514": "the partition of a day has just gone",
    "25006": "it is read-only, as a standby is: name the primary",
    "25P03": "a transaction stood idle",
    "28": "it refuses this user: check user and password",
    "3D000": "there is no such database: create it",
    "40": "the transaction met another one",
    "42501": "this user lacks a right: docs/operating/postgresql.md lists them",
    "53": "it lacks a resource",
    "53100": "the disk is full: free some space",
    "53300": "it has no connection left: raise max_connections, or end other clients",
    "55P03": "a lock was not granted in time",
    "57": "it is shutting down, starting, or was told to end this connection",
    "57014": "the statement took too long",
    "58": "its system reported an error",
}
UNFIT = frozenset({"21", "22", "23", "P0002"})
SCHEMA_MISSING = frozenset({"3F000", "42P01", "42883", "42704", "42703"})
DAMAGED = frozenset({"XX001", "XX002"})
# asyncpg's InternalClientError comes when a server's last words arrive while it is about to send.
LOST = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InternalClientError)
RAISED = (asyncpg.PostgresError, asyncpg.InterfaceError, *LOST)  # all that a call of asyncpg may raise


def is_lost(error: BaseException) -> bool:
    """Whether an answer may have got lost: the statement had its effect, or it had not.

    A backend that is told to end (57P01) may have committed just before.
    """
    return isinstance(error, (*LOST, asyncpg.InterfaceError)) or state_of(error).startswith("57P0")


def state_of(error: BaseException) -> str:
    """The SQLSTATE, "" where there is none."""
    return getattr(error, "sqlstate", None) or ""


def translate(error: BaseException, address: Address) -> StoreError:
    """The StoreError for an error of PostgreSQL, of the connection to it, or of a value that fits no column."""
    state = state_of(error)
    if isinstance(error, LOST) or (isinstance(error, asyncpg.InterfaceError) and not state):
        why = str(error) or type(error).__name__
        return TransientStoreError(f"The store {address} did not take part: it cannot be reached ({why}).")
    if state == FENCE:
        return FenceMismatch(f"{error}: somebody else has claimed it, or it went back in time.")
    if state[:2] in UNFIT - {"23"} or state in UNFIT or (state[:2] == "23" and state != NO_PARTITION):
        return DataError(f"The store {address} refuses the rows: {error}.")
    if state in SCHEMA_MISSING:
        return SchemaError(f"The store {address} lacks what this version works with ({error}). Run `limpet db migrate`.")
    if state in DAMAGED:
        return CorruptStore(f"The store {address} is damaged: {error}. Restore a backup.")
    reason = next((PASSING[state[:size]] for size in (5, 2) if state[:size] in PASSING), None)
    if reason is not None:
        return TransientStoreError(f"The store {address} did not take part: {reason} ({error}).")
    return StoreError(f"The store {address} failed: {error}.")
