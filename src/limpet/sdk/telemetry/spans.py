"""The tracer that speaks OpenTelemetry: a producer span around each trigger, a consumer span around each attempt.

Laws:
1. A trigger's metadata carries the `traceparent` of its span, and an attempt's span is the child of the one that its run
   names (W9.3): so a run, its children and their children are one trace.
2. Tracing never keeps a run from starting, and an attempt from running: what it cannot read it leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from limpet.contracts import events_pb2, trigger_pb2, workflows_pb2
from limpet.sdk.config import ClientConfig
from limpet.sdk.context import Context
from limpet.sdk.telemetry.attributes import OTelAttribute
from limpet.sdk.telemetry.hooks import Asked, Asking

PREFIX = "hatchet."
MARK: tuple[str, str] = ("instrumentor", "hatchet")  # as the official client marks its spans
TRACEPARENT = "traceparent"
TEXT_LENGTH_MAX = 4_096  # of an attribute; an input may have megabytes, and collectors refuse them

Facts = Mapping[OTelAttribute, Any]


class Spans:
    """Makes the spans. `config`: the tenant, the namespace, and which attributes are left out."""

    def __init__(self, tracer: trace.Tracer, config: ClientConfig) -> None:
        self._tracer, self._config = tracer, config
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def asking(self, what: Asking, messages: Sequence[Asked]) -> Iterator[None]:
        """A span for the call; for each run of a bulk one of its own only where that is configured."""
        parent = self._parent(metadata_of(messages[0])) if messages and not _is_in_a_span() else None
        facts = asked_for(messages) if what in (Asking.RUNS, Asking.EVENTS) else asked(messages[0])
        with self._span(what.value, trace.SpanKind.PRODUCER, facts, parent):
            if what is not Asking.RUNS or not self._config.otel.individual_run_spans_for_bulk_run:
                self._mark(messages)
                yield
                return
            with ExitStack() as spans:
                for each in messages:
                    span = self._tracer.start_span(PREFIX + Asking.RUN.value, kind=trace.SpanKind.PRODUCER)
                    span.set_attributes(self._attributes(asked(each)))
                    spans.callback(span.end)
                    self._mark([each], trace.set_span_in_context(span))
                yield

    @contextmanager
    def attempt(self, context: Context, action_id: str) -> Iterator[None]:
        """A span for the attempt, below the one that asked for the run."""
        named = self._config.otel.include_task_name_in_start_step_run_span_name
        name = f"start_step_run.{context.task_name}" if named else "start_step_run"
        facts = attempted(context, action_id) | {OTelAttribute.TENANT_ID: self._config.tenant_id}
        with self._span(name, trace.SpanKind.CONSUMER, facts, self._parent(context.additional_metadata)):
            yield

    @contextmanager
    def cancelling(self, context: Context) -> Iterator[None]:
        """A span for the moment in which an attempt is told to stop, beside the attempt's own."""
        facts = {OTelAttribute.WORKFLOW_RUN_ID: context.workflow_run_id, OTelAttribute.STEP_RUN_ID: context.task_run_id}
        with self._span("cancel_step_run", trace.SpanKind.CONSUMER, facts, self._parent(context.additional_metadata)):
            yield

    @contextmanager
    def _span(self, name: str, kind: trace.SpanKind, facts: Facts, parent: TraceContext | None) -> Iterator[None]:
        attributes = self._attributes(facts)
        with self._tracer.start_as_current_span(PREFIX + name, context=parent, kind=kind, attributes=attributes):
            yield

    def _attributes(self, facts: Facts) -> dict[str, str | int]:
        """Those that are known and not left out, as OpenTelemetry takes them."""
        left_out = self._config.otel.excluded_attributes
        known = {name: value for name, value in facts.items() if value not in (None, "") and name not in left_out}
        return dict([MARK]) | {PREFIX + name.value: attribute(value) for name, value in known.items()}

    def _parent(self, metadata: Mapping[str, Any]) -> TraceContext | None:
        """The span that metadata name; None: no valid one, the current span counts."""
        value = metadata.get(TRACEPARENT)
        found = self._propagator.extract({TRACEPARENT: value}) if isinstance(value, str) else None
        return found if found and trace.get_current_span(found).get_span_context().is_valid else None

    def _mark(self, messages: Sequence[Asked], context: TraceContext | None = None) -> None:
        """Write the span's name into the messages' metadata."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context)
        if TRACEPARENT not in carrier:
            return  # a span that is not recorded may have no id
        for each in messages:
            write_metadata(each, metadata_of(each) | {TRACEPARENT: carrier[TRACEPARENT]})


def _is_in_a_span() -> bool:
    return bool(trace.get_current_span().get_span_context().is_valid)


def asked(message: Asked) -> dict[OTelAttribute, Any]:
    """What one message asks for."""
    return pushed(message) if isinstance(message, events_pb2.PushEventRequest) else asked_run(message)


def pushed(message: events_pb2.PushEventRequest) -> dict[OTelAttribute, Any]:
    """What an event tells."""
    return {
        OTelAttribute.EVENT_KEY: message.key,
        OTelAttribute.ACTION_PAYLOAD: message.payload,
        OTelAttribute.ADDITIONAL_METADATA: own_metadata(message),
        OTelAttribute.PRIORITY: message.priority if message.HasField("priority") else None,
        OTelAttribute.FILTER_SCOPE: message.scope,
    }


def asked_run(
    message: trigger_pb2.TriggerWorkflowRequest | workflows_pb2.ScheduleWorkflowRequest,
) -> dict[OTelAttribute, Any]:
    """What a run is started or planned with."""
    facts: dict[OTelAttribute, Any] = {
        OTelAttribute.WORKFLOW_NAME: message.name,
        OTelAttribute.ADDITIONAL_METADATA: own_metadata(message),
        OTelAttribute.PRIORITY: message.priority if message.HasField("priority") else None,
        OTelAttribute.PARENT_ID: message.parent_id,
        OTelAttribute.PARENT_STEP_RUN_ID: message.parent_task_run_external_id,
        OTelAttribute.CHILD_INDEX: message.child_index if message.HasField("child_index") else None,
        OTelAttribute.CHILD_KEY: message.child_key,
    }
    if isinstance(message, trigger_pb2.TriggerWorkflowRequest):
        return facts | {OTelAttribute.DESIRED_WORKER_ID: message.desired_worker_id}
    return facts | {OTelAttribute.RUN_AT_TIMESTAMPS: [each.ToJsonString() for each in message.schedules]}


def asked_for(messages: Sequence[Asked]) -> dict[OTelAttribute, Any]:
    """What a bulk asks for: its workflows by name, or its events by key."""
    keys = sorted({each.key for each in messages if isinstance(each, events_pb2.PushEventRequest)})
    names = sorted({each.name for each in messages if not isinstance(each, events_pb2.PushEventRequest)})
    return {OTelAttribute.WORKFLOW_NAME: names or None, OTelAttribute.EVENT_KEY: keys or None}


def own_metadata(message: Asked) -> dict[str, Any] | None:
    """The caller's, without the trace; None: none."""
    return {key: value for key, value in metadata_of(message).items() if key != TRACEPARENT} or None


def attempted(context: Context, action_id: str) -> dict[OTelAttribute, Any]:
    """What an attempt is."""
    return {
        OTelAttribute.WORKER_ID: context.worker_id,
        OTelAttribute.WORKFLOW_RUN_ID: context.workflow_run_id,
        OTelAttribute.STEP_RUN_ID: context.task_run_id,
        OTelAttribute.RETRY_COUNT: context.retry_count,
        OTelAttribute.PARENT_WORKFLOW_RUN_ID: context.parent_workflow_run_id,
        OTelAttribute.CHILD_WORKFLOW_INDEX: context.child_index,
        OTelAttribute.CHILD_WORKFLOW_KEY: context.child_key,
        OTelAttribute.ACTION_PAYLOAD: dict(context.raw_input),
        OTelAttribute.WORKFLOW_NAME: context.workflow_name,
        OTelAttribute.ACTION_NAME: action_id,
        OTelAttribute.STEP_NAME: context.task_name,
        OTelAttribute.PRIORITY: context.priority,
        OTelAttribute.WORKFLOW_ID: context.workflow_id,
        OTelAttribute.WORKFLOW_VERSION_ID: context.workflow_version_id,
        OTelAttribute.TRIGGERING_EVENT_EXTERNAL_ID: context.triggering_event_id,
        OTelAttribute.TRIGGERING_EVENT_KEY: context.triggering_event_key,
    }


def attribute(value: Any) -> str | int:
    """A value as spans carry it: whole numbers as they are, all else as text, JSON where it has parts."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return (value if isinstance(value, str) else json.dumps(value, default=str))[:TEXT_LENGTH_MAX]


def metadata_of(message: Asked) -> dict[str, Any]:
    """The metadata of a message."""
    text = message.additional_metadata
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}


def write_metadata(message: Asked, metadata: Mapping[str, Any]) -> None:
    """The same, the other way."""
    text = json.dumps(metadata)
    if isinstance(message, trigger_pb2.TriggerWorkflowRequest):
        message.additional_metadata = text.encode()
    else:
        message.additional_metadata = text
