"""Which HTTP status each error of the engine becomes. Nothing else decides a status code (R35).

Official clients repeat every GET that ends in 404 or 5xx, so both are used only when they are the truth.
"""

from __future__ import annotations

from limpet.core.errors import (
    BulkIdempotencyCollision,
    EngineStopping,
    IdempotencyCollision,
    InternalError,
    InvalidArgument,
    LimitReached,
    LimpetError,
    NotAllowed,
    NotFound,
    NotJudged,
    NotOwner,
    NotSupported,
    StoreUnavailable,
    SubscriptionsChanged,
    WorkerNotListening,
    WorkflowChanged,
)

BAD_REQUEST = 400
FORBIDDEN = 403
NOT_FOUND = 404
METHOD_NOT_ALLOWED = 405
REQUEST_TIMEOUT = 408
CONFLICT = 409
TOO_LARGE = 413
UNSUPPORTED_MEDIA_TYPE = 415
MISDIRECTED = 421
TOO_MANY = 429
INTERNAL = 500
NOT_IMPLEMENTED = 501
UNAVAILABLE = 503

STATUS_OF: dict[type[LimpetError], int] = {
    InvalidArgument: BAD_REQUEST,
    NotFound: NOT_FOUND,
    WorkerNotListening: CONFLICT,
    NotAllowed: FORBIDDEN,
    NotSupported: NOT_IMPLEMENTED,
    IdempotencyCollision: CONFLICT,
    BulkIdempotencyCollision: CONFLICT,
    WorkflowChanged: CONFLICT,
    SubscriptionsChanged: CONFLICT,
    NotJudged: CONFLICT,
    LimitReached: TOO_MANY,
    StoreUnavailable: UNAVAILABLE,
    EngineStopping: UNAVAILABLE,
    NotOwner: UNAVAILABLE,
    InternalError: INTERNAL,
}


def status_of(error: LimpetError) -> int:
    """The status of an error: that of its class or of the nearest base that has one."""
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), INTERNAL)
