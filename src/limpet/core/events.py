"""Pushed events: stored, and the runs they start, in one commit (specification: flow control, section 5).

Whatever else an event does belongs into `_take`: one event, one step, everything that was committed before it (E1).
"""

from __future__ import annotations

from collections.abc import Sequence

from limpet.core import awaiting, triggers
from limpet.core.clock_starts import lacks_keys
from limpet.core.decision import EventSource
from limpet.core.definitions import PRIORITY_MAX, PRIORITY_MIN
from limpet.core.errors import InvalidArgument, LimitReached, SubscriptionsChanged, WorkflowChanged
from limpet.core.event_inputs import EventsPushed, EventStart, ExpressionFailed, ExpressionFailure, PushedEvent
from limpet.core.event_rows import EventRunRow, ExpressionFailureRow, FailureSource, PushedEventRow
from limpet.core.inputs import KeyTaken, Trigger
from limpet.core.needs import Found
from limpet.core.records import Run
from limpet.core.settings import Settings
from limpet.core.state import State
from limpet.core.subscriptions import Candidate


def push(state: State, item: EventsPushed, found: Found) -> tuple[PushedEventRow, ...]:
    """All events or none (F5.2). Of a repeated call, those that are known are told as they were stored."""
    check_events(item.events, state.settings)
    known = found.events if item.is_repeatable else {}
    for event in item.events:
        if event.id not in known:
            _check_computed(state, event)
    rows: list[PushedEventRow] = []
    for event in item.events:
        row = known.get(event.id)
        if row is None:
            row = known[event.id] = _take(state, event)
        rows.append(row)
    return tuple(rows)


def expression_failed(state: State, item: ExpressionFailed) -> None:
    """Kept for people."""
    _note_failure(state, item.source, item.failure, None)


def check_events(events: Sequence[PushedEvent], limits: Settings) -> None:
    """Raises InvalidArgument for what is no event, LimitReached where a call would start too much at once."""
    if not 1 <= len(events) <= limits.bulk_items_max:
        raise InvalidArgument(f"a push must have 1 to {limits.bulk_items_max} events (bulk_items_max), got {len(events)}")
    for event in events:
        _check_event(event, limits)
    runs = sum(len(event.starts) for event in events)
    if runs > limits.event_runs_max:
        raise LimitReached(f"the events of this call would start {runs} runs; at most {limits.event_runs_max} (event_runs_max)")
    size = sum(len(event.starts) * len(event.payload) for event in events)
    if size > limits.event_runs_bytes_max:
        raise LimitReached(
            f"the inputs of the runs that this call would start have {size} bytes; at most {limits.event_runs_bytes_max} "
            "(event_runs_bytes_max): push fewer events at once, or pass references to large data"
        )


def _check_event(event: PushedEvent, limits: Settings) -> None:
    if not event.name or len(event.name.encode()) > limits.name_bytes_max:
        raise InvalidArgument(f"an event needs a key of 1 to {limits.name_bytes_max} bytes, got {event.name[:80]!r}")
    if event.scope is not None and len(event.scope.encode()) > limits.name_bytes_max:
        raise InvalidArgument(f"event {event.name}: the scope may have {limits.name_bytes_max} bytes")
    if event.priority is not None and not PRIORITY_MIN <= event.priority <= PRIORITY_MAX:
        raise InvalidArgument(
            f"event {event.name}: priority must be between {PRIORITY_MIN} and {PRIORITY_MAX}, got {event.priority}"
        )
    if len(event.payload) > limits.payload_bytes_max:
        raise InvalidArgument(
            f"event {event.name}: the payload has {len(event.payload)} bytes; at most {limits.payload_bytes_max} "
            "(payload_bytes_max)"
        )
    if len(event.metadata) > limits.metadata_bytes_max:
        raise InvalidArgument(
            f"event {event.name}: additional metadata has {len(event.metadata)} bytes; at most {limits.metadata_bytes_max} "
            "(metadata_bytes_max)"
        )


def _check_computed(state: State, event: PushedEvent) -> None:
    """What the edge has evaluated must be all that is in force now (R52)."""
    awaiting.check_answers(state, event.name, dict(event.answers))
    candidates = state.subscriptions.candidates(event.name, event.scope)
    if event.considered != tuple(one.stamp for one in candidates):
        raise SubscriptionsChanged(event.name)
    by_stamp = {one.stamp: one for one in candidates}
    for start in event.starts:
        version = state.workflows[by_stamp[start.stamp].workflow_name].newest
        assert version is not None
        if lacks_keys(version, start.keys):
            raise WorkflowChanged(version.workflow.name)


def _take(state: State, event: PushedEvent) -> PushedEventRow:
    """Everything that follows from one event."""
    key = state.key()
    row = PushedEventRow(
        key, event.id, state.tenant_no, event.name, event.payload, len(event.payload), event.metadata, event.priority,
        event.scope, event.webhook, state.now,
    )  # fmt: skip
    state.changes.pushed_events.append(row)
    awaiting.hear(state, row, dict(event.answers))  # before its runs are there: it came before they wait (W5.7)
    by_stamp = {one.stamp: one for one in state.subscriptions.candidates(event.name, event.scope)}
    for start in event.starts:
        _start(state, row, by_stamp[start.stamp], start)
    for failure in event.failures:
        _note_failure(state, FailureSource.FILTER, failure, event.id)
    return row


def _start(state: State, event: PushedEventRow, candidate: Candidate, start: EventStart) -> None:
    """One run. A workflow that this engine does not carry out starts none, and the operator is told (F5.7)."""
    refusal = triggers.refusal_of(state.workflows[candidate.workflow_name])
    if refusal is not None:
        state.notices.append(f"Event {event.id} ({event.name}) did not start a run: {refusal}.")
        return
    source = EventSource(event.id, event.name, candidate.payload)
    item = Trigger(candidate.workflow_name, event.payload, start.metadata, event.priority, keys=start.keys)
    run = _run_of(state, event, item, source)
    if run is None:
        return
    state.changes.event_runs.append(
        EventRunRow(
            run.key, state.tenant_no, run.id, event.key, event.id, event.name, candidate.filter_id, candidate.payload, state.now
        )
    )


def _run_of(state: State, event: PushedEventRow, item: Trigger, source: EventSource) -> Run | None:
    """None: another run holds its idempotency key, which is silent, or the key cannot be used, which the operator is told."""
    try:
        run = triggers.start_run(state, item, source)
    except InvalidArgument as error:  # W16.8
        state.notices.append(f"Event {event.id} ({event.name}) did not start a run: {error}.")
        return None
    return None if isinstance(run, KeyTaken) else run


def _note_failure(state: State, source: FailureSource, failure: ExpressionFailure, event_id: str | None) -> None:
    state.changes.expression_failures.append(
        ExpressionFailureRow(state.key(), state.tenant_no, state.now, source, failure.about, event_id, failure.message)
    )
