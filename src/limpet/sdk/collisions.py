"""What an engine tells about triggers whose idempotency keys are held."""

from __future__ import annotations

import grpc

from limpet.contracts import admin_pb2
from limpet.contracts.status_pb2 import Status
from limpet.sdk.exceptions import BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError

TRAILER = "grpc-status-details-bin"


def collision_of(error: grpc.RpcError) -> IdempotencyCollisionError | BulkTriggerIdempotencyCollisionError | None:
    """The collision that the error's details tell of; None: they tell of something else."""
    for detail in _status_of(error).details:
        name = detail.type_url.rpartition(".")[2]
        if name == "IdempotencyCollisionError":
            return _single(admin_pb2.IdempotencyCollisionError.FromString(detail.value))
        if name == "BulkTriggerIdempotencyCollisionError":
            return _bulk(admin_pb2.BulkTriggerIdempotencyCollisionError.FromString(detail.value))
    return None


def _single(wire: admin_pb2.IdempotencyCollisionError) -> IdempotencyCollisionError:
    return IdempotencyCollisionError(wire.existing_run_external_id)


def _bulk(wire: admin_pb2.BulkTriggerIdempotencyCollisionError) -> BulkTriggerIdempotencyCollisionError:
    return BulkTriggerIdempotencyCollisionError(
        list(wire.successful_workflow_run_external_ids), [_single(one) for one in wire.collisions]
    )


def _status_of(error: grpc.RpcError) -> Status:
    read = getattr(error, "trailing_metadata", None)
    trailers = dict(read() or ()) if callable(read) else {}
    return Status.FromString(trailers.get(TRAILER, b""))
