"""The edge's part in events: filters are evaluated when an event is pushed, and the core gets one input with all it starts.

What is evaluated belongs to the workflows and filters in force at that moment. When others are in force before the core
takes the push, it refuses, and everything is evaluated again (R52, decision 0020). Conditions of tasks that wait for an
event are evaluated here too, over the same `Push`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import uuid4

import orjson

from limpet.core.errors import InvalidArgument, LimitReached, NotJudged, NotSupported, SubscriptionsChanged, WorkflowChanged
from limpet.core.event_inputs import EventsPushed, EventStart, ExpressionFailure, PushedEvent
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import TenantId
from limpet.core.inputs import RunsTriggered, Trigger
from limpet.core.limits_view import LimitsView
from limpet.core.settings import Settings
from limpet.core.subscriptions import Candidate
from limpet.edges import condition_answers, json_text
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, as_truth, compile_expression
from limpet.edges.expressions.values import Values
from limpet.edges.repeatable import repeatable_id
from limpet.edges.run_keys import with_keys
from limpet.engine.door import Door

TRIES_MAX = 5  # registrations and changes of filters that may come between evaluating and the step that takes the push
EVALUATIONS_INLINE_MAX = 20  # about a millisecond; more go to a thread of their own, so that other calls are served meanwhile
FAILURES_MAX = 100  # of one push that are recorded; one broken filter must not fill the store
ENGINE_PREFIX = "hatchet__"
EVENT_ID_KEY = "hatchet__event_id"  # set by the engine on runs of events [W9.2]
EVENT_KEY_KEY = "hatchet__event_key"
SOURCE_KEYS = frozenset(
    {"hatchet__source_workflow_run_id", "hatchet__source_step_run_id"}
)  # the task that pushed; clients set them
_EVALUATING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="limpet-filters")  # its thread starts with the first job


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as somebody pushes it; payload and metadata are checked JSON objects."""

    name: str
    payload: bytes = json_text.EMPTY_OBJECT
    metadata: bytes = json_text.EMPTY_OBJECT
    priority: int | None = None
    scope: str | None = None
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """Events with all that counts for them at one moment.

    candidates: for each event, what it may start
    limits:     of the workflows among those, the concurrency limits
    awaited:    for each event, the expressions of conditions that wait for such events
    """

    events: Sequence[NewEvent]
    ids: Sequence[str]
    candidates: Sequence[Sequence[Candidate]]
    limits: Mapping[str, LimitsView | None]
    awaited: Sequence[Sequence[str]]

    @property
    def evaluations(self) -> int:
        """How many expressions there are to evaluate."""
        of_starts = sum(_evaluations_of(one, self.limits) for some in self.candidates for one in some)
        return of_starts + sum(map(len, self.awaited))


async def push(
    door: Door, tenant: TenantId, events: Sequence[NewEvent], settings: Settings, request_id: str | None = None
) -> tuple[PushedEventRow, ...]:
    """Store the events and start what they start; their rows. Raises what `Door.submit` does.

    request_id: a repeated call with the same id pushes nothing anew (I5)
    """
    ids = [str(uuid4()) if request_id is None else repeatable_id(tenant, request_id, index) for index in range(len(events))]
    for tries_left in reversed(range(TRIES_MAX)):
        starts = await _evaluated(gathered(door, tenant, events, ids, settings))
        try:
            rows = await door.submit(tenant, EventsPushed(starts, is_repeatable=request_id is not None))
        except (SubscriptionsChanged, WorkflowChanged, NotJudged):
            if not tries_left:
                raise
        else:
            assert isinstance(rows, tuple)
            return rows
    raise AssertionError("the last try returns or raises")


def gathered(door: Door, tenant: TenantId, events: Sequence[NewEvent], ids: Sequence[str], settings: Settings) -> Push:
    """What the events may start now. Raises LimitReached where that is too much for one call."""
    candidates = [door.candidates(tenant, event.name, event.scope) for event in events]
    count = sum(map(len, candidates))
    if count > settings.event_runs_max:
        raise LimitReached(f"the events of this call may start {count} runs; at most {settings.event_runs_max} (event_runs_max)")
    names = {one.workflow_name for some in candidates for one in some}
    awaited = [door.awaited(tenant, event.name) for event in events]
    return Push(events, ids, candidates, {name: door.limits(tenant, name) for name in names}, awaited)


def evaluate(push: Push) -> tuple[PushedEvent, ...]:
    """Each event with the candidates that it passes. Pure, so it may run on any thread."""
    found: list[PushedEvent] = []
    failures_left = FAILURES_MAX
    for event, event_id, candidates, awaited in zip(push.events, push.ids, push.candidates, push.awaited, strict=True):
        passed, failures = _filtered(event, event_id, candidates)
        found.append(
            PushedEvent(
                event_id, event.name, event.payload, event.metadata, event.priority, event.scope, event.webhook,
                considered=tuple(one.stamp for one in candidates),
                starts=_starts(event, event_id, passed, push.limits) if passed else (),
                failures=tuple(failures[:failures_left]),
                answers=condition_answers.of_event(event.name, event_id, event.payload, awaited),
            )
        )  # fmt: skip
        failures_left -= min(len(failures), failures_left)
    return tuple(found)


async def _evaluated(push: Push) -> tuple[PushedEvent, ...]:
    if push.evaluations <= EVALUATIONS_INLINE_MAX:
        return evaluate(push)
    return await asyncio.get_running_loop().run_in_executor(_EVALUATING, evaluate, push)


def _evaluations_of(candidate: Candidate, limits: Mapping[str, LimitsView | None]) -> int:
    view = limits[candidate.workflow_name]
    return (candidate.filter_id is not None) + (0 if view is None else len(view.expressions))


def _filtered(event: NewEvent, event_id: str, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[ExpressionFailure]]:
    """The candidates that the event passes, and the filters that have no answer; those let nothing through (F5.20)."""
    passed: list[Candidate] = []
    failures: list[ExpressionFailure] = []
    values: Values | None = None
    for one in candidates:
        if one.filter_id is None:
            passed.append(one)
            continue
        values = values or _values(event, event_id)
        try:
            if _is_true(one, values):
                passed.append(one)
        except (ExpressionError, NotSupported) as error:
            failures.append(ExpressionFailure(one.filter_id, str(error)))
    return passed, failures


def _values(event: NewEvent, event_id: str) -> Values:
    """The variables that all filters of an event share (F1.1, environment V)."""
    values = Values()
    values.add_json("input", event.payload)
    values.add_json("additional_metadata", event.metadata)
    values.add_text("event_id", event_id)
    values.add_text("event_key", event.name)
    return values


def _is_true(candidate: Candidate, shared: Values) -> bool:
    values = replace(shared, variables=dict(shared.variables))
    values.add_json("payload", candidate.payload)
    return as_truth(compile_expression(Environment.FILTER, candidate.expression).evaluate(values))


def _starts(
    event: NewEvent, event_id: str, passed: Sequence[Candidate], limits: Mapping[str, LimitsView | None]
) -> tuple[EventStart, ...]:
    metadata = run_metadata(event, event_id)
    items = tuple(Trigger(one.workflow_name, event.payload, metadata) for one in passed)
    keyed = with_keys(RunsTriggered(items), limits.__getitem__).items
    return tuple(EventStart(one.stamp, metadata, item.keys) for one, item in zip(passed, keyed, strict=True))


def run_metadata(event: NewEvent, event_id: str) -> bytes:
    """The event's, without what only engines write, and where the run came from (F5.11, W9.2)."""
    members = {EVENT_ID_KEY: event_id, EVENT_KEY_KEY: event.name}
    if ENGINE_PREFIX.encode() not in event.metadata:
        return json_text.with_members(event.metadata, members)
    given = orjson.loads(event.metadata)
    kept = {key: value for key, value in given.items() if not key.startswith(ENGINE_PREFIX) or key in SOURCE_KEYS}
    try:
        return orjson.dumps({**kept, **members})
    except TypeError:
        raise InvalidArgument(f"event {event.name}: additional metadata nests too deeply to be written anew") from None
