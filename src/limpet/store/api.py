"""The Store: memory that lasts. It knows rows, not rules; whatever passes `tests/store` is a store.

Two halves. The *owner's* half (`claim`, `load`, `commit`, `look_up`, `payloads`) belongs to the engine loop, one
call at a time. The *reader's* half answers people: it sees only committed rows, on connections of its own, and
never makes the loop wait (design D21).

Tenants are owned in *groups* (R11): each group has a fence of its own, and a commit carries the fence of every group
it writes to. A store for one process has one group, `ONLY_GROUP`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType, Protocol

from limpet.core.decision import Changes
from limpet.core.event_rows import ExpressionFailureRow, FilterRow, PushedEventRow
from limpet.core.ids import TenantId, TenantNo
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.pause_rows import PauseRow
from limpet.core.rate_rows import RateLimitRow
from limpet.core.rows import Born, EventRow, RunRow, TaskRow, VersionRow, WorkerRow, WorkflowRow
from limpet.core.timetable_rows import CronRow, ScheduleRow
from limpet.core.webhook_rows import WebhookRow


class StoreError(Exception):
    """Base of what a store raises. `docs/operating/reliability.md` tells what the engine does about each."""


class TransientStoreError(StoreError):
    """The commit did not happen, and trying the same batch again may help: busy, disk full, read-only, cut off."""


class CommitOutcomeUnknown(StoreError):
    """The answer of a commit got lost: it happened, or it did not. Only `Store.fences` can tell (R8)."""


class FenceMismatch(StoreError):
    """Somebody else committed, or the store went back in time. The engine drops its memory (R7, R8)."""


class DataError(StoreError):
    """The batch itself cannot be stored: a constraint, a type. Trying it again changes nothing."""


class FatalStoreError(StoreError):
    """The store can no longer be trusted in this process, for one a failed fsync. The process ends (R8)."""


class SchemaError(StoreError):
    """The store's schema is not the one this version knows; the text names the command that mends it."""


class CorruptStore(StoreError):
    """The file is damaged or no store at all; the text says how to get a working one back."""


class StoreLocked(StoreError):
    """Another process holds the store."""


class OwnedElsewhere(StoreError):
    """Another server's lease runs; this one stands by. `holder` is None between two owners."""

    def __init__(self, holder: Holder | None) -> None:
        self.holder = holder
        super().__init__(f"The store is owned by {holder}." if holder else "The store is owned by another server.")


class ReadTimedOut(StoreError):
    """A read for people took longer than `READ_SECONDS_MAX` and was ended; a narrower query helps."""


LIST_ROWS_MAX = 10_000  # records of one page, whatever the query asks for: about 30 MB; more pages by offset
SCAN_MAX = 100_000  # crons, scheduled runs or events that a search by metadata looks at; a narrower query looks at others
COUNT_MAX = 10_000  # matches are counted up to here, so that a page never waits for the count of a million
PAGE_PAYLOAD_BYTES_MAX = 16 * 1024 * 1024  # inputs and outputs that come along with one answer (see `Reader`)
EVENT_ROWS_MAX = 10_000  # ten events for each task of the largest graph
LOG_LINES_MAX = 10_000  # lines of one answer
EVENT_RUNS_MAX = 10_000  # started runs that come along with one page of events; their counts are of all
EVENT_NAMES_MAX = 10_000  # different event keys of one answer
QUARANTINE_MAX = 1_000  # inputs kept for the operator; the oldest go first
PRUNE_ROWS_MAX = 1_000  # rows one deletion may touch (R50)
READ_SECONDS_MAX = 15.0  # longer reads are ended, because they hold checkpoints back (R22, R51)


GroupNo = NewType("GroupNo", int)
ONLY_GROUP = GroupNo(0)  # of all tenants in a store for one process


class Fence(NamedTuple):
    """Proof of ownership of a group: the epoch grows with each claim, the sequence number with each commit (R12)."""

    epoch: int
    seq: int

    def next(self) -> Fence:
        """What the owner's next commit carries."""
        return Fence(self.epoch, self.seq + 1)


Fences = Mapping[GroupNo, Fence]


class Holder(NamedTuple):
    """The server that owns a store now, by its own name, and where it answers calls."""

    server_id: str
    address: str

    def __str__(self) -> str:
        return f"server {self.server_id} at {self.address}"


@dataclass(slots=True)
class Batch:
    """One commit. `fences`: for each group it writes to, the number it will have there, one above the last."""

    fences: Fences
    changes: Sequence[tuple[TenantNo, Changes]]


class Tenant(NamedTuple):
    """A tenant; `no` is the high part of its row keys, `group` who it is owned together with."""

    no: TenantNo
    id: TenantId
    name: str
    created_at: int
    group: GroupNo = ONLY_GROUP


class Token(NamedTuple):
    """What is known of an API token; never the token itself (X2)."""

    id: str
    tenant_no: TenantNo
    name: str
    created_at: int
    expires_at: int
    revoked_at: int | None
    last_used_at: int | None


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs or tasks a reader asks for; everything given must hold, except metadata pairs (see there).

    statuses:        numbers of RunStatus for runs, of TaskStatus for tasks
    metadata:        (key, value) pairs, values compared as text; a run matches with any of them (W9.4)
    metadata_all:    a run must match with all of them
    since, until:    by created_at, in microseconds; since inclusive, until exclusive
    event_id:        of the event that started the run
    held_keys:       idempotency keys, of which the run holds one
    finished_since:  by the end of the run, which one that is not over has not; inclusive, finished_until exclusive
    """

    since: int | None = None
    until: int | None = None
    statuses: Collection[int] | None = None
    workflow_ids: Collection[str] | None = None
    worker_id: str | None = None
    parent_run_id: str | None = None
    parent_task_id: str | None = None
    event_id: str | None = None
    held_keys: Collection[str] | None = None
    finished_since: int | None = None
    finished_until: int | None = None
    metadata: Sequence[tuple[str, str]] = ()
    metadata_all: bool = False
    limit: int = 50
    offset: int = 0


class Quarantined(NamedTuple):
    """An input that could not be processed, as it was recorded for the operator."""

    tenant_no: TenantNo
    at: int
    reason: str
    content: str


class RunRecord(NamedTuple):
    """A run with everything a page about it shows. Tasks in order of their steps; only those that exist."""

    run: RunRow
    workflow: WorkflowRow
    version: VersionRow
    tasks: Sequence[TaskRow]


class TaskRecord(NamedTuple):
    """A task with its run."""

    task: TaskRow
    run: RunRow
    workflow: WorkflowRow
    version: VersionRow


class LogLine(NamedTuple):
    """One line that a task wrote. `metadata` is a JSON object text."""

    tenant_no: int
    task_run_id: str
    retry_count: int
    at: int
    level: str
    message: str
    metadata: str


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines of a task; `search` is a plain substring, case-insensitive."""

    task_run_id: str
    since: int | None = None
    until: int | None = None
    levels: Collection[str] | None = None
    search: str | None = None
    retry_count: int | None = None
    newest_first: bool = False
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class TimetableQuery:
    """Which crons or scheduled runs a reader asks for; everything given must hold. Those of deleted workflows are gone.

    workflow_name, name:              of crons; parent_…: of scheduled runs
    metadata:                         (key, value) pairs, values compared as text; all must match
    by_creation:                      the order: by creation, else crons by name and scheduled runs by their instant
    """

    id: str | None = None
    workflow_id: str | None = None
    workflow_name: str | None = None
    name: str | None = None
    parent_run_id: str | None = None
    parent_task_id: str | None = None
    metadata: Sequence[tuple[str, str]] = ()
    by_creation: bool = True
    descending: bool = True
    limit: int = 50
    offset: int = 0


class CronRecord(NamedTuple):
    """A cron with its workflow and the newest version of that. The input is None when the page has no room for it."""

    cron: CronRow
    workflow: WorkflowRow
    version_id: str
    input: bytes | None


class ScheduleRecord(NamedTuple):
    """A scheduled run with its workflow and the newest version of that. The input is None when the page has no room for it."""

    schedule: ScheduleRow
    workflow: WorkflowRow
    version_id: str
    input: bytes | None


class RateLimitOrder(StrEnum):
    """What rate limits are ordered by: their names, the units that are left, or the units in all."""

    NAME = "name"
    VALUE = "value"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class RateLimitQuery:
    """Which rate limits a reader asks for: those whose names contain `search`, as they stand at `now`."""

    now: int
    search: str | None = None
    order: RateLimitOrder = RateLimitOrder.NAME
    descending: bool = False
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which pushed events a reader asks for; everything given must hold, of collections any member.

    names:        event keys
    workflow_ids: of workflows of which it started a run; run_statuses: numbers of RunStatus that one of its runs has
    metadata:     (key, value) pairs, values compared as text; all must match
    since, until: by the time of the push, in microseconds; since inclusive, until exclusive
    """

    ids: Collection[str] | None = None
    names: Collection[str] | None = None
    scopes: Collection[str] | None = None
    workflow_ids: Collection[str] | None = None
    run_statuses: Collection[int] | None = None
    metadata: Sequence[tuple[str, str]] = ()
    since: int | None = None
    until: int | None = None
    limit: int = 50
    offset: int = 0


class StartedRun(NamedTuple):
    """A run that an event started, and the filter that let it through."""

    run_id: str
    filter_id: str | None


class EventRecord(NamedTuple):
    """An event with its runs. The row comes without its payload; that is None when the page has no room for it.

    runs:     at most `EVENT_RUNS_MAX` on a page
    statuses: how many of its runs have which RunStatus, of all
    """

    event: PushedEventRow
    payload: bytes | None
    runs: Sequence[StartedRun]
    statuses: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class FilterQuery:
    """Which filters a reader asks for; everything given must hold. Those of deleted workflows are gone."""

    ids: Collection[str] | None = None
    workflow_ids: Collection[str] | None = None
    scopes: Collection[str] | None = None
    limit: int = 50
    offset: int = 0


class FilterRecord(NamedTuple):
    """A filter and its workflow's id."""

    filter: FilterRow
    workflow_id: str


class Reader(Protocol):
    """Committed rows for people. Every method returns None or an empty list when nothing is found.

    Inputs and outputs come along, in the order of the answer, while their sum stays within `PAGE_PAYLOAD_BYTES_MAX`;
    one that is left out is None while its `…_bytes` column tells its size, and `payloads` reads it by its key.
    """

    async def run(self, tenant_no: TenantNo, run_id: str) -> RunRecord | None:
        """A run by its id. A one-task run's id is also its task's id (W1.4)."""

    async def task(self, tenant_no: TenantNo, task_run_id: str) -> TaskRecord | None: ...

    async def runs(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[RunRecord], int]:
        """Newest first; the second value is the number of all matches, counted up to 10,000."""

    async def tasks(self, tenant_no: TenantNo, query: RunQuery) -> tuple[Sequence[TaskRecord], int]:
        """Newest first; the second value is the number of all matches, counted up to 10,000."""

    async def status_counts(self, tenant_no: TenantNo, query: RunQuery) -> Mapping[int, int]:
        """Tasks by TaskStatus number."""

    async def events(self, tenant_no: TenantNo, tasks: Collection[Born]) -> Sequence[EventRow]:
        """Those of some tasks, oldest first."""

    async def workflows(self, tenant_no: TenantNo) -> Sequence[WorkflowRow]:
        """Those not deleted, by name."""

    async def pauses(self, tenant_no: TenantNo) -> Mapping[int, PauseRow]:
        """The last one of each workflow that ever was paused, by the workflow's key."""

    async def versions(self, tenant_no: TenantNo, workflow_id: str) -> Sequence[VersionRow]:
        """Newest first."""

    async def workers_by_key(self, tenant_no: TenantNo, keys: Collection[int]) -> Mapping[int, WorkerRow]: ...

    async def crons(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[CronRecord], int]:
        """The second value is the number of all matches, counted up to 10,000. Rows come without their inputs."""

    async def schedules(self, tenant_no: TenantNo, query: TimetableQuery) -> tuple[Sequence[ScheduleRecord], int]:
        """As `crons`; those that have started their run are gone."""

    async def rate_limits(self, tenant_no: TenantNo, query: RateLimitQuery) -> tuple[Sequence[RateLimitRow], int]:
        """The second value is the number of all matches, counted up to 10,000."""

    async def pushed_events(self, tenant_no: TenantNo, query: EventQuery) -> tuple[Sequence[EventRecord], int]:
        """Newest first; the second value is the number of all matches, counted up to 10,000."""

    async def event_names(self, tenant_no: TenantNo) -> Sequence[str]:
        """The keys of all events that are not gone, each once, in order; at most `EVENT_NAMES_MAX`."""

    async def filters(self, tenant_no: TenantNo, query: FilterQuery) -> Sequence[FilterRecord]:
        """Newest first."""

    async def webhooks(self, tenant_no: TenantNo) -> Sequence[WebhookRow]:
        """All, oldest first, with their encrypted secrets."""

    async def expression_failures(self, tenant_no: TenantNo, limit: int) -> Sequence[ExpressionFailureRow]:
        """Newest first."""

    async def payloads(
        self, runs: Collection[Born], tasks: Collection[Born]
    ) -> tuple[Mapping[int, bytes], Mapping[int, TaskRow]]:
        """Inputs by run key; whole rows, with outputs and errors, by task key. Never waits behind a page."""

    async def event_payloads(self, keys: Collection[int]) -> Mapping[int, bytes]:
        """Payloads of pushed events by key; those that are gone are absent. Never waits behind a page."""

    async def log_lines(self, tenant_no: TenantNo, query: LogQuery) -> Sequence[LogLine]: ...


class Store(Protocol):
    """The owner's half. All coroutines; blocking work happens on the store's own thread or connections.

    lease_us: how long an ownership lasts after a claim, commit or renewal; None: until another one claims
    """

    reader: Reader
    lease_us: int | None

    async def open(self) -> None:
        """Lock, check the schema, connect. Raises StoreLocked, SchemaError, TransientStoreError."""

    async def close(self) -> None:
        """Finish what is being written, let go of the lock. Harmless when called twice."""

    async def claim(self) -> Fences:
        """Become the owner of every group: raise the epochs, keep the sequence numbers. Ends every older owner.

        Raises OwnedElsewhere while the lease of another server runs.
        """

    async def fences(self) -> Fences:
        """The stored epochs and sequence numbers; after a commit of unknown outcome they decide (R8)."""

    async def renew(self, fences: Fences) -> None:
        """Prolong the leases of these groups, whose epochs must be the stored ones (R12). Raises FenceMismatch."""

    async def release(self, fences: Fences) -> None:
        """Give up what is still owned by these epochs, so that another server need not wait for the lease to end (R49)."""

    async def holder(self) -> Holder | None:
        """The server whose lease runs now; None: nobody's does, or the store has no leases."""

    async def load(self, tenant_no: TenantNo) -> Snapshot:
        """Everything the tenant's core is rebuilt from, as of one commit."""

    async def commit(self, batch: Batch) -> None:
        """Fences, then all changes, in one transaction. Returns only when they are durable; raises StoreError."""

    async def look_up(self, tenant_no: TenantNo, needs: Needs) -> Found:
        """What is known of the needs. Rows come without inputs and outputs, as in `load`."""

    async def tenants(self) -> Sequence[Tenant]: ...

    async def create_tenant(self, tenant_id: TenantId, name: str, now: int) -> Tenant:
        """Returns the existing one when the id is taken."""

    async def tokens(self) -> Sequence[Token]:
        """All, revoked and expired ones included."""

    async def put_token(self, token: Token) -> None:
        """Insert or replace."""

    async def quarantine(self, tenant_no: TenantNo, at: int, reason: str, content: str) -> None:
        """Keep an input that could not be processed, for the operator (R8, T-POISON)."""

    async def quarantined(self) -> Sequence[Quarantined]:
        """What was kept, newest first; at most `QUARANTINE_MAX`."""

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        """Through a writer of their own, never the commit's (R10)."""

    async def prune(self, before: int, limit: int) -> int:
        """Delete up to `limit` finished runs that ended before the instant, with their tasks, events and logs.

        Off the commit path; returns how many went. From the call on, every run that ended before the instant is
        gone for whoever asks, also while its rows still wait (R50).
        """

    async def purge_claims(self, before: int, limit: int) -> int:
        """Delete up to `limit` idempotency keys that had expired by the instant, off the commit path.

        At most `PRUNE_ROWS_MAX` at once; returns how many there were. It only frees space: expiry itself is exact (F9.6).
        """

    async def prune_events(self, before: int, limit: int) -> int:
        """Delete up to `limit` rows of events, of what they started, and of failed expressions, each older than the instant.

        An event of which a run is left stays, and one that a condition of an unfinished run has seen: its task may still
        be started with it. Off the commit path; returns how many rows went.
        """


@dataclass(slots=True)
class StoreStats:
    """Counters a store keeps for the metrics page."""

    commits: int = 0
    rows_written: int = 0
    commit_seconds_total: float = 0.0
    extra: dict[str, float] = field(default_factory=dict)
