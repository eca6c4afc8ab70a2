"""Idempotency of a registration (W16.1)."""

from __future__ import annotations

from limpet.contracts.admin_pb2 import CreateWorkflowVersionRequest, IdempotencyMethod
from limpet.core.definitions import Idempotency
from limpet.core.errors import InvalidArgument
from limpet.core.ids import MILLISECOND_US


def idempotency(request: CreateWorkflowVersionRequest) -> Idempotency | None:
    """The rule, if there is one; without a method a key is held for its time. Raises InvalidArgument."""
    if not request.HasField("idempotency"):
        return None
    wire = request.idempotency
    if wire.ttl_ms < 1:
        raise InvalidArgument(
            f"workflow {request.name}: the time to live of an idempotency key must be 1 ms or more, got {wire.ttl_ms} ms"
        )
    until_end = wire.HasField("method") and wire.method == IdempotencyMethod.STATUS
    return Idempotency(wire.expression, wire.ttl_ms * MILLISECOND_US, until_end)
