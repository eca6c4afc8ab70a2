"""What can happen to the pause of a workflow, in the past tense; the laws of `core.inputs` hold here too."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.pause_rows import PausedStart


@dataclass(frozen=True, slots=True)
class WorkflowPaused:
    """Runs that have not started wait from now on; paused again, the new terms count (W15.1). Reply: None, or `NotFound`.

    queue_ttl_us: tasks that wait longer, counted from when they were queued, are cancelled
    """

    workflow_id: str
    queue_ttl_us: int
    crons: PausedStart = PausedStart.QUEUE
    schedules: PausedStart = PausedStart.QUEUE


@dataclass(frozen=True, slots=True)
class WorkflowUnpaused:
    """What waited goes on (W15.3). Reply: None, or `NotFound`; one that is not paused stays as it is."""

    workflow_id: str


PauseInput = WorkflowPaused | WorkflowUnpaused
