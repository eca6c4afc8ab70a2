"""Idempotency collisions as the details of a refused call (wire-grpc, "Triggering")."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from grpc import StatusCode

from limpet.contracts.admin_pb2 import BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError
from limpet.contracts.status_pb2 import Status
from limpet.core.errors import COLLISION_TEXT, BulkIdempotencyCollision, IdempotencyCollision

TRAILER = "grpc-status-details-bin"
TYPES = "type.googleapis.com/v1."  # where official clients look the messages up: under their own names, not ours
# A client takes 8 KiB of trailers and throws away what is larger; an id takes 40 bytes, and text that is not ASCII a third more.
RUNS_MAX = 140

Collision = IdempotencyCollision | BulkIdempotencyCollision


def trailer(error: Collision) -> tuple[str, bytes]:
    """The trailer that tells who holds the key. Of a bulk too large to be told, the started runs come first, then holders."""
    detail = _single(error.existing_run_id) if isinstance(error, IdempotencyCollision) else _bulk(error)
    packed = AnyMessage(type_url=TYPES + detail.DESCRIPTOR.name, value=detail.SerializeToString())
    status = Status(code=StatusCode.ALREADY_EXISTS.value[0], message=COLLISION_TEXT, details=[packed])
    return TRAILER, status.SerializeToString()


def _bulk(error: BulkIdempotencyCollision) -> Message:
    started = error.started_run_ids[: RUNS_MAX - 1]
    holders: Sequence[str] = error.existing_run_ids[: RUNS_MAX - len(started)]
    return BulkTriggerIdempotencyCollisionError(
        successful_workflow_run_external_ids=started, collisions=[_single(one) for one in holders]
    )


def _single(existing_run_id: str) -> IdempotencyCollisionError:
    """The run that was refused has no id: none was made."""
    return IdempotencyCollisionError(existing_run_external_id=existing_run_id)
