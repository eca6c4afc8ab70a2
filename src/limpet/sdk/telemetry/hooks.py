"""Where a tracer looks in: around calls that ask for runs or push events, around attempts and their cancelling.

Without a tracer nothing happens.

Law: no tracing library is known here, so that a program without one pays nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Protocol, TypeAlias

from limpet.contracts import events_pb2, trigger_pb2, workflows_pb2
from limpet.sdk.context import Context

Asked: TypeAlias = trigger_pb2.TriggerWorkflowRequest | workflows_pb2.ScheduleWorkflowRequest | events_pb2.PushEventRequest


class Asking(Enum):
    """What a call asks for."""

    RUN = "run_workflow"
    RUNS = "run_workflows"
    SCHEDULE = "schedule_workflow"
    EVENT = "push_event"
    EVENTS = "bulk_push_event"


class Tracer(Protocol):
    """What looks in. `asking` may write into the messages before they are sent."""

    def asking(self, what: Asking, messages: Sequence[Asked]) -> AbstractContextManager[object]:
        """Around a call that asks for runs, or pushes events."""

    def attempt(self, context: Context, action_id: str) -> AbstractContextManager[object]:
        """Around the code of an attempt; its exception passes through."""

    def cancelling(self, context: Context) -> AbstractContextManager[object]:
        """Around telling an attempt to stop."""


class _Nobody:
    def asking(self, what: Asking, messages: Sequence[Asked]) -> AbstractContextManager[object]:
        return nullcontext()

    def attempt(self, context: Context, action_id: str) -> AbstractContextManager[object]:
        return nullcontext()

    def cancelling(self, context: Context) -> AbstractContextManager[object]:
        return nullcontext()


class Hook:
    """The tracer of this process, for all its clients and workers."""

    def __init__(self) -> None:
        self.tracer: Tracer = _Nobody()

    def set(self, tracer: Tracer | None) -> None:
        """Let this one look in; None: nobody."""
        self.tracer = tracer or _Nobody()


hook: Hook = Hook()
