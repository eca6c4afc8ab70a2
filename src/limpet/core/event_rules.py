"""What event keys and filters must fulfil. Pure checks; each refusal is a sentence."""

from __future__ import annotations

from limpet.core.definitions import DefaultFilter, WorkflowDefinition
from limpet.core.errors import InvalidArgument, LimitReached
from limpet.core.settings import Settings


def check_events(definition: WorkflowDefinition, limits: Settings) -> None:
    """The events that start a workflow, and the filters it declares."""
    where = f"workflow {definition.name}"
    for what, found in (("event keys", definition.events), ("filters", definition.filters)):
        if len(found) > limits.event_triggers_max:
            raise LimitReached(f"{where} declares {len(found)} {what}; at most {limits.event_triggers_max} (event_triggers_max)")
    for key in definition.events:
        if not key or len(key.encode()) > limits.name_bytes_max or "\0" in key:
            raise InvalidArgument(f"{where}: an event key must have 1 to {limits.name_bytes_max} bytes, got {key[:80]!r}")
    for one in definition.filters:
        check_filter(where, one, limits)


def check_filter(where: str, wanted: DefaultFilter, limits: Settings) -> None:
    """Whether it can be kept; whether its expression can be evaluated shows at the first event (F1.6)."""
    if not wanted.scope or len(wanted.scope.encode()) > limits.name_bytes_max or "\0" in wanted.scope:
        raise InvalidArgument(f"{where}: a filter needs a scope of 1 to {limits.name_bytes_max} bytes")
    if len(wanted.expression.encode()) > limits.expression_bytes_max or "\0" in wanted.expression:
        raise InvalidArgument(
            f"{where}: the expression of a filter may have {limits.expression_bytes_max} bytes (expression_bytes_max), and no NUL"
        )
    if len(wanted.payload) > limits.metadata_bytes_max:
        raise InvalidArgument(f"{where}: the payload of a filter may have {limits.metadata_bytes_max} bytes (metadata_bytes_max)")
