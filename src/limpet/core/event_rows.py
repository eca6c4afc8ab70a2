"""Pushed events for good: one tuple type per table, as in `core.rows`. Timeline events of tasks are `rows.EventRow`."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class FailureSource(IntEnum):
    """Where an expression stood that could not be evaluated."""

    FILTER = 0
    WEBHOOK = 1


class PushedEventRow(NamedTuple):
    """An event as it was pushed. Never changes.

    id:      made by the edge that took it, because filters may read it
    name:    its key, as the outside calls it
    webhook: the name of the webhook it came by
    """

    key: int
    id: str
    tenant_no: int
    name: str
    payload: bytes
    payload_bytes: int
    metadata: bytes
    priority: int | None
    scope: str | None
    webhook: str | None
    created_at: int


class EventRunRow(NamedTuple):
    """A run that an event started. `key` is the run's key.

    event_id, event_name: told to every task of the run, also when the event's own row is gone
    filter_id:            the filter that let the event through; it may be deleted by now
    filter_payload:       what that filter had to say then, a JSON object
    """

    key: int
    tenant_no: int
    run_id: str
    event_key: int
    event_id: str
    event_name: str
    filter_id: str | None
    filter_payload: bytes
    created_at: int


class FilterRow(NamedTuple):
    """Which events of a scope start the workflow. Changes after birth: everything from `scope` on, but `declared`.

    revision: another number after each change; it is what an evaluated filter is recognised by
    declared: 1: it came with the workflow's definition, and goes with it
    """

    key: int
    id: str
    tenant_no: int
    workflow_key: int
    declared: int
    created_at: int
    scope: str
    expression: str
    payload: bytes
    revision: int
    updated_at: int


class ExpressionFailureRow(NamedTuple):
    """An expression that could not be evaluated for an event. Never changes.

    about:    the id of the filter, or the name of the webhook
    event_id: None: there is no event because of it
    """

    key: int
    tenant_no: int
    at: int
    source: int
    about: str
    event_id: str | None
    message: str
