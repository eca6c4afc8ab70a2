"""What can happen to crons and scheduled runs, in the past tense; the laws of `core.inputs` hold here too."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.ids import Instant
from limpet.core.run_keys import RunKeys


@dataclass(frozen=True, slots=True)
class CronCreated:
    """Somebody made a cron by a call. Reply: its `CronRow`.

    priority: None means the workflow's default when it is due (PR-7)
    """

    workflow_name: str
    name: str
    expression: str
    input: bytes = b"{}"
    metadata: bytes = b"{}"
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class CronSwitched:
    """Switched on or off. Reply: None, or `NotFound`."""

    cron_id: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class CronDeleted:
    """Reply: None, `NotFound`, or `NotAllowed` for a declared one. Runs it started go on (F6.14)."""

    cron_id: str


@dataclass(frozen=True, slots=True)
class CronTriggered:
    """Its run is wanted now, whatever the time. Reply: `WorkflowRunId`, `KeyTaken` or `NotFound`.

    keys: without those of the version in force the reply is the `StartAsked` that they are for
    """

    cron_id: str
    keys: RunKeys | None = None


@dataclass(frozen=True, slots=True)
class SchedulesCreated:
    """One run for each instant; past ones start at once (F7.2). Reply: tuple of `ScheduleRow`, in order.

    priority: None means the workflow's default when it is due (PR-7)
    ids:      of the scheduled runs, one for each instant, when the call may be a repeated one: one that exists, or has
              started its run, is not made again (I5); empty: new ones
    """

    workflow_name: str
    instants: tuple[Instant, ...]
    input: bytes = b"{}"
    metadata: bytes = b"{}"
    priority: int | None = None
    parent_run_id: str | None = None
    parent_task_id: str | None = None
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduleMoved:
    """To another instant. Reply: None, or `NotFound`, also for one that has started its run (F7.8)."""

    schedule_id: str
    at: Instant


@dataclass(frozen=True, slots=True)
class ScheduleDeleted:
    """Reply: None, or `NotFound`. Its run never starts (F7.9)."""

    schedule_id: str


@dataclass(frozen=True, slots=True)
class ScheduleTriggered:
    """Its run is wanted now (F7.4). Reply and `keys`: as of `CronTriggered`."""

    schedule_id: str
    keys: RunKeys | None = None


TimetableInput = (
    CronCreated
    | CronSwitched
    | CronDeleted
    | CronTriggered
    | SchedulesCreated
    | ScheduleMoved
    | ScheduleDeleted
    | ScheduleTriggered
)
