"""Everything that can happen to a tenant, in the past tense. Edges and timers make these; nobody else.

Each input is answered once, after the commit that carries its changes (R5). The reply's type stands in the
input's docstring; a refused input is answered with a `RequestError`. Payloads are raw JSON bytes that an edge
has already checked (design D10); ids of the outside are plain texts, because a caller may send anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.clock_starts import StartsKeyed
from limpet.core.definitions import DesiredLabel, LabelValue, WorkflowDefinition
from limpet.core.event_inputs import EventInput
from limpet.core.ids import ActionId, WorkerId
from limpet.core.pause_inputs import PauseInput
from limpet.core.rate_inputs import RateLimitInput
from limpet.core.run_keys import RunKeys
from limpet.core.timetable_inputs import TimetableInput
from limpet.core.webhook_inputs import WebhookInput


@dataclass(frozen=True, slots=True)
class WorkflowPut:
    """A worker declared a workflow. Reply: `WorkflowPutReply`. Same definition: same version, nothing written."""

    definition: WorkflowDefinition


@dataclass(frozen=True, slots=True)
class WorkflowDeleted:
    """Reply: None. Queued tasks of the workflow stay; new triggers by its name find nothing (W3.8)."""

    workflow_id: str


@dataclass(frozen=True, slots=True)
class WorkerRegistered:
    """A process offers actions and slots. Reply: `WorkerId`, always a new one (WK-9).

    slots:   slot type to units, never empty here: the edge has filled in the default of SL-1
    runtime: JSON object text about the client's language, versions and system; shown, never read
    """

    name: str
    actions: tuple[ActionId, ...]
    slots: tuple[tuple[str, int], ...]
    labels: tuple[tuple[str, LabelValue], ...] = ()
    runtime: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """A worker opened its assignment stream. Reply: None, or `NotFound` for an unknown worker.

    session: a number of the edge's, larger for each later stream of this process (WK-17)
    """

    worker_id: str
    session: int


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The stream of that session ended, for whatever reason. Reply: None; unknown ones have no effect."""

    worker_id: str
    session: int


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """Any sign of life without effect of its own, a heartbeat for one (R27). Reply: None. Writes nothing (R10)."""

    worker_id: str


@dataclass(frozen=True, slots=True)
class LabelsUpserted:
    """Reply: None, or `NotFound`. Merges by key; `removed` keys go (LB-19)."""

    worker_id: str
    labels: tuple[tuple[str, LabelValue], ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerPaused:
    """Reply: None, or `NotFound`. `paused=False` unpauses (WK-32)."""

    worker_id: str
    paused: bool


@dataclass(frozen=True, slots=True)
class WorkerUnsubscribed:
    """The worker left for good (WK-18). Reply: None; unknown workers too. Its attempts go elsewhere at once.

    drains: it lets its running tasks end first, so that their outcomes still count; only unconfirmed ones go elsewhere
    """

    worker_id: str
    drains: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    """One run that somebody asked for.

    priority:       1 to 3; None means the workflow's default (PR-5)
    desired_labels: replace the definition's when not empty (LB-14)
    parent_…:       set for a child run; with them, child_key or child_index names the child (W10.3)
    request_id:     repeated calls with the same id return the same run (I5)
    keys:           needed when the version in force has expressions; those of another one: `WorkflowChanged`
    """

    workflow_name: str
    input: bytes = b"{}"
    metadata: bytes = b"{}"
    priority: int | None = None
    desired_worker_id: str | None = None
    desired_labels: tuple[DesiredLabel, ...] = ()
    parent_run_id: str | None = None
    parent_task_id: str | None = None
    child_index: int | None = None
    child_key: str | None = None
    request_id: str | None = None
    keys: RunKeys | None = None


@dataclass(frozen=True, slots=True)
class RunsTriggered:
    """Reply: tuple of `WorkflowRunId` or `KeyTaken`, in order. One commit; one bad item refuses all (I4)."""

    items: tuple[Trigger, ...]


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """No run was made: the one with that id holds the idempotency key (W16.3)."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """What every report of a worker about an attempt carries. Reply: None, whatever became of it (R24, R32).

    retry_count: None means the current attempt (old clients)
    worker_ref:  the text of the worker field; only the id of *another* registered worker makes it stale
    """

    task_run_id: str
    retry_count: int | None
    worker_ref: str


@dataclass(frozen=True, slots=True)
class TaskStarted(Report):
    """The receipt of the assignment (R26)."""


@dataclass(frozen=True, slots=True)
class OutputVerdicts:
    """What the conditions of other tasks say about a task's output, computed by an edge (R3).

    version_id: the version whose expressions were evaluated
    answers:    one for each of `views.OutputView.expressions`, in order; a text: why there is none, which counts as no (W5.3)
    """

    version_id: str
    answers: tuple[bool | str, ...]


@dataclass(frozen=True, slots=True)
class TaskCompleted(Report):
    """The attempt ended well. `output` is JSON, b"" when there is none. Reply: None, or `NotJudged`.

    verdicts: needed when conditions look at the output of this task
    """

    output: bytes = b""
    verdicts: OutputVerdicts | None = None


@dataclass(frozen=True, slots=True)
class TaskFailed(Report):
    """The attempt failed in the user's code, or its outcome was unusable (R32, then not retryable)."""

    error: str = ""
    retryable: bool = True
    retry_after_us: int | None = None


@dataclass(frozen=True, slots=True)
class TaskGaveUp(Report):
    """The worker says that the attempt was cancelled (CN-7): like a cancel request for that attempt."""


@dataclass(frozen=True, slots=True)
class SlotReleased:
    """The task gives back its slots and runs on (SL-10). Reply: None, or `NotFound`."""

    task_run_id: str


@dataclass(frozen=True, slots=True)
class TimeoutRefreshed:
    """The execution deadline moves by `by_us` (TO-11). Reply: the new deadline as `Instant`, or `NotFound`."""

    task_run_id: str
    by_us: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Ids of runs or of tasks. Reply: tuple of the task run ids taken on (W12.10); finished ones are left out."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplayRequested:
    """Ids of runs or of tasks. Reply: tuple of the task run ids taken on (W12.4 to W12.6)."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartUndeliverable:
    """No byte of this start could be handed to a stream (WK-20). Made by the streams; reply: None."""

    task_run_id: str
    retry_count: int


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing happened but time. Every step looks at due deadlines; this one only brings `now`. Reply: None."""


Input = (
    WorkflowPut
    | WorkflowDeleted
    | WorkerRegistered
    | StreamOpened
    | StreamClosed
    | WorkerSeen
    | LabelsUpserted
    | WorkerPaused
    | WorkerUnsubscribed
    | RunsTriggered
    | TaskStarted
    | TaskCompleted
    | TaskFailed
    | TaskGaveUp
    | SlotReleased
    | TimeoutRefreshed
    | CancelRequested
    | ReplayRequested
    | StartUndeliverable
    | TimePassed
    | TimetableInput
    | RateLimitInput
    | PauseInput
    | StartsKeyed
    | EventInput
    | WebhookInput
)


@dataclass(frozen=True, slots=True)
class WorkflowPutReply:
    """What a registration led to. `created`: whether the version is new."""

    workflow_id: str
    version_id: str
    created: bool


WorkerRegisteredReply = WorkerId
