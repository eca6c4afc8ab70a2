"""The body of a request that changes a workflow (W15.5)."""

from __future__ import annotations

from typing import Literal

import msgspec

from limpet.core.durations import parse_duration
from limpet.core.pause_inputs import PauseInput, WorkflowPaused, WorkflowUnpaused
from limpet.core.pause_rows import PausedStart

Behavior = Literal["QUEUE", "DROP"]


class PauseBody(msgspec.Struct, frozen=True, tag_field="action", tag="pause"):
    """PauseWorkflowRequestPause."""

    ttl: str = msgspec.field(name="pausedWorkflowQueueTTL")
    crons: Behavior = msgspec.field(name="pausedWorkflowCronRunQueueBehavior")
    schedules: Behavior = msgspec.field(name="pausedWorkflowScheduledRunQueueBehavior")

    def input(self, workflow_id: str) -> PauseInput:
        """Raises InvalidArgument for a duration that cannot be read."""
        ttl_us = parse_duration(self.ttl, "pausedWorkflowQueueTTL")
        return WorkflowPaused(workflow_id, ttl_us, PausedStart[self.crons], PausedStart[self.schedules])


class UnpauseBody(msgspec.Struct, frozen=True, tag_field="action", tag="unpause"):
    """PauseWorkflowRequestUnpause."""

    def input(self, workflow_id: str) -> PauseInput:
        """What it asks for."""
        return WorkflowUnpaused(workflow_id)


class WorkflowBody(msgspec.Struct, frozen=True):
    """WorkflowUpdateRequest: without a pause it changes nothing."""

    pause: PauseBody | UnpauseBody | None = None
