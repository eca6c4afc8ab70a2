"""Errors as gRPC status codes. A test checks that every leaf of the error tree has a row.

Codes that official clients do not retry are used only when they are the truth (R35).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import uuid4

from grpc import StatusCode

from limpet.core import errors
from limpet.edges.access import AccessUnavailable, NotAuthenticated
from limpet.edges.grpc.translate.collisions import trailer
from limpet.edges.outbox import EndCause, StreamEnd
from limpet.store.api import StoreError

_log = logging.getLogger(__name__)

INVALID_TOKEN = "invalid auth token"  # the text that official clients know
# A client takes 8 KiB of trailing metadata; above, it throws our code away and sees one that it repeats. What is not
# ASCII travels as three characters a byte, so this stays within it whatever the text.
DETAILS_BYTES_MAX = 2_000

CODES: dict[type[Exception], StatusCode] = {
    errors.InvalidArgument: StatusCode.INVALID_ARGUMENT,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.WorkerNotListening: StatusCode.FAILED_PRECONDITION,
    errors.NotAllowed: StatusCode.PERMISSION_DENIED,
    errors.NotSupported: StatusCode.UNIMPLEMENTED,
    errors.IdempotencyCollision: StatusCode.ALREADY_EXISTS,
    errors.BulkIdempotencyCollision: StatusCode.ALREADY_EXISTS,
    errors.WorkflowChanged: StatusCode.ABORTED,
    errors.SubscriptionsChanged: StatusCode.ABORTED,
    errors.NotJudged: StatusCode.ABORTED,
    errors.LimitReached: StatusCode.RESOURCE_EXHAUSTED,
    errors.StoreUnavailable: StatusCode.UNAVAILABLE,
    errors.EngineStopping: StatusCode.UNAVAILABLE,
    errors.NotOwner: StatusCode.UNAVAILABLE,
    errors.InternalError: StatusCode.INTERNAL,
    NotAuthenticated: StatusCode.UNAUTHENTICATED,
    AccessUnavailable: StatusCode.UNAVAILABLE,
    StoreError: StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the caller sees; a long sentence, which can only come of long names in the request, is cut."""

    code: StatusCode
    details: str
    trailers: tuple[tuple[str, bytes], ...] = ()

    def __post_init__(self) -> None:
        raw = self.details.encode()
        if len(raw) > DETAILS_BYTES_MAX:
            object.__setattr__(self, "details", raw[:DETAILS_BYTES_MAX].decode(errors="ignore") + "…")


def refusal_of(error: Exception, *, of_stream: bool = False) -> Refusal:
    """The code and sentence for an error; of a bug only a number that stands in the log too (X24).

    of_stream: bugs and whatever else is no truth about the call end a stream with UNAVAILABLE (R33)
    """
    if isinstance(error, StreamEnd):
        return _ended(error)
    if isinstance(error, NotAuthenticated):
        return Refusal(StatusCode.UNAUTHENTICATED, INVALID_TOKEN)
    if isinstance(error, StoreError):
        return Refusal(StatusCode.UNAVAILABLE, "the store cannot be read right now: try again")
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), None)
    if code is None:
        return _bug(error, StatusCode.UNAVAILABLE if of_stream else StatusCode.INTERNAL)
    if code is StatusCode.INTERNAL and of_stream:
        code = StatusCode.UNAVAILABLE
    if isinstance(error, errors.IdempotencyCollision | errors.BulkIdempotencyCollision):
        return Refusal(code, errors.COLLISION_TEXT, (trailer(error),))
    return Refusal(code, str(error) or "try again")


def _ended(end: StreamEnd) -> Refusal:
    if end.cause is EndCause.NOT_AUTHENTICATED:
        return Refusal(StatusCode.UNAUTHENTICATED, INVALID_TOKEN)
    return Refusal(StatusCode.UNAVAILABLE, end.reason)


def _bug(error: Exception, code: StatusCode) -> Refusal:
    number = uuid4().hex[:12]
    _log.error("A call failed by a bug.", exc_info=error, extra={"event": "grpc.bug", "correlation_id": number})
    return Refusal(code, f"An internal error occurred. The engine's log tells more under {number}.")
