"""What can go wrong, grouped by who can act.

    LimpetError
    ├── RequestError                the caller can mend it
    │   ├── InvalidArgument
    │   ├── NotFound
    │   ├── WorkerNotListening
    │   ├── NotAllowed              the thing exists, and is not the caller's to change this way
    │   ├── NotSupported            declared or asked for, not carried out by this engine yet
    │   ├── IdempotencyCollision    a run holds the idempotency key of the one that was asked for
    │   ├── BulkIdempotencyCollision  of some of several runs; the others were started
    │   ├── WorkflowChanged         it was registered anew while the call was on its way; calling again helps
    │   ├── SubscriptionsChanged    what an event starts changed while the call was on its way; calling again helps
    │   ├── NotJudged               an expression came to look at a payload while it was on its way; calling again helps
    │   └── LimitReached
    └── TemporaryError              trying again may help
        ├── StoreUnavailable
        ├── EngineStopping
        ├── NotOwner            another server owns the store; this one stands by
        └── InternalError           a bug of ours; the input was refused and recorded

A report that does not fit the live attempt is no error: it is answered OK and counted (R24, R32).
Edges map the leaves to gRPC and HTTP codes in their `status.py`; a test checks that each leaf has a row.
"""

from __future__ import annotations

COLLISION_TEXT = "idempotency key collision"  # all that official clients want to read on the wire


class LimpetError(Exception):
    """Base of all errors of the engine. The text is a sentence for the person who reads it."""


class RequestError(LimpetError):
    """The caller can mend this."""


class InvalidArgument(RequestError):
    """A field of the request is not usable; the text names it and what would be."""


class NotFound(RequestError):
    """The named thing does not exist in this tenant."""

    def __init__(self, kind: str, name: str, hint: str = "") -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"{kind} {name} not found{': ' + hint if hint else ''}")


class WorkerNotListening(RequestError):
    """A heartbeat of a worker whose assignment stream is not open (WK-16)."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        super().__init__(f"worker {worker_id} has no open assignment stream: the worker stream is not active, open it again")


class NotAllowed(RequestError):
    """The thing exists, and is not the caller's to change this way; the text says which way there is."""


class NotSupported(RequestError):
    """A run whose outcome would differ without a feature that this engine lacks."""


class WorkflowChanged(RequestError):
    """The keys of a trigger belong to another version of the workflow than the one in force."""

    def __init__(self, workflow: str) -> None:
        self.workflow = workflow
        super().__init__(f"workflow {workflow} was registered anew while this call was on its way: call again")


class IdempotencyCollision(RequestError):
    """The run `existing_run_id` holds the idempotency key, so none was started (W16.3)."""

    def __init__(self, existing_run_id: str) -> None:
        self.existing_run_id = existing_run_id
        super().__init__(f"{COLLISION_TEXT}: run {existing_run_id} holds the key of this one, so this one was not started")


class BulkIdempotencyCollision(RequestError):
    """Some items of a bulk collided with runs that hold their keys; the others were started (W16.4)."""

    def __init__(self, started_run_ids: tuple[str, ...], existing_run_ids: tuple[str, ...]) -> None:
        self.started_run_ids: tuple[str, ...] = started_run_ids
        self.existing_run_ids: tuple[str, ...] = existing_run_ids
        taken, started = len(existing_run_ids), len(started_run_ids)
        super().__init__(f"{COLLISION_TEXT}: other runs hold the keys of {taken} items; {started} others were started")


class NotJudged(RequestError):
    """A payload was handed in without what the conditions that look at it say about it."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"conditions came to look at {what} while this call was on its way: call again")


class SubscriptionsChanged(RequestError):
    """What an event starts is not what it was when its filters were evaluated."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"what event {name} starts changed while this call was on its way: call again")


class LimitReached(RequestError):
    """A named limit was reached; the text names it and its value."""


class TemporaryError(LimpetError):
    """Try again."""


class StoreUnavailable(TemporaryError):
    """The store did not take the commit; nothing is known to have happened."""


class EngineStopping(TemporaryError):
    """The engine is shutting down or does not own this tenant any more."""


class NotOwner(TemporaryError):
    """This server stands by for the one that owns the store (R20)."""

    def __init__(self, owner: str | None) -> None:
        self.owner = owner
        where = f"{owner} owns the store: connect there" if owner else "another server is taking the store over: try again"
        super().__init__(f"this server stands by, and {where}, or go through a load balancer that asks /ready")


class InternalError(TemporaryError):
    """A bug of ours or a record the store refuses; the input was recorded in quarantine."""
