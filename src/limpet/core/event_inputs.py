"""What can happen to events and filters, in the past tense; the laws of `core.inputs` hold here too."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.event_rows import FailureSource
from limpet.core.run_keys import RunKeys


@dataclass(frozen=True, slots=True)
class ExpressionFailure:
    """An expression that gave no usable result. `about`: as in `ExpressionFailureRow`."""

    about: str
    message: str


@dataclass(frozen=True, slots=True)
class EventStart:
    """A run that an event is to start.

    stamp:    of the candidate, see `subscriptions.Candidate`
    metadata: of the run, with the event's id and key
    keys:     as in `inputs.Trigger`
    """

    stamp: int
    metadata: bytes
    keys: RunKeys | None = None


@dataclass(frozen=True, slots=True)
class PushedEvent:
    """An event, and what an edge has found out about it.

    id:         a UUID of the edge's
    metadata:   as it was given
    considered: stamps of all candidates there were; others in the core's memory: `SubscriptionsChanged`, compute again
    starts:     the candidates that the event passes, in that order
    failures:   filters that could not be evaluated for it
    answers:    what expressions of waiting conditions give for its payload; one that is missing: `NotJudged`, compute again
    """

    id: str
    name: str
    payload: bytes = b"{}"
    metadata: bytes = b"{}"
    priority: int | None = None
    scope: str | None = None
    webhook: str | None = None
    considered: tuple[int, ...] = ()
    starts: tuple[EventStart, ...] = ()
    failures: tuple[ExpressionFailure, ...] = ()
    answers: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class EventsPushed:
    """Reply: tuple of `PushedEventRow`, in order. One commit with the runs they start; one bad event refuses all.

    is_repeatable: the ids are derived from a request, so an event whose id is known is that event, and starts nothing
    """

    events: tuple[PushedEvent, ...]
    is_repeatable: bool = False


@dataclass(frozen=True, slots=True)
class FilterCreated:
    """Somebody made a filter by a call. Reply: its `FilterRow`."""

    workflow_id: str
    scope: str
    expression: str
    payload: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class FilterUpdated:
    """What is None stays as it is. Reply: its `FilterRow`, or `NotFound`."""

    filter_id: str
    scope: str | None = None
    expression: str | None = None
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class FilterDeleted:
    """Reply: its last `FilterRow`, or `NotFound`. A declared one comes back with the workflow's next version."""

    filter_id: str


@dataclass(frozen=True, slots=True)
class ExpressionFailed:
    """An expression kept something from becoming an event. Reply: None; it is remembered for people (F8.11)."""

    source: FailureSource
    failure: ExpressionFailure


EventInput = EventsPushed | FilterCreated | FilterUpdated | FilterDeleted | ExpressionFailed
