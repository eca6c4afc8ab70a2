"""How much is waiting and running now, by task: for queue metrics and task statistics.

Totals come from the store's counts, exact however long a queue is. Only where a workflow has several tasks is the
split by task read from its newest live tasks, up to LIVE_TASKS_READ_MAX of each workflow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from limpet.core.definitions import TaskDefinition
from limpet.core.rows import TaskStatus, WorkflowRow
from limpet.edges.rest.caller import Caller
from limpet.edges.rest.graph import definition_of
from limpet.edges.rest.queries import PAGE_MAX
from limpet.store.api import RunQuery, TaskRecord

LIVE_TASKS_READ_MAX = 10_000  # of one workflow with several tasks; what the reader itself counts up to
WAITING = frozenset({int(TaskStatus.PENDING), int(TaskStatus.QUEUED), int(TaskStatus.BACKING_OFF)})
WORKING = frozenset({int(TaskStatus.ASSIGNED), int(TaskStatus.RUNNING)})
LIVE = WAITING | WORKING


@dataclass
class Tally:
    """Tasks of one name that wait or run."""

    total: int = 0
    queues: Counter[str] = field(default_factory=Counter)
    oldest: int | None = None
    oldest_first_try: int | None = None

    def add(self, action_id: str, count: int) -> None:
        """Count tasks of a queue."""
        self.total += count
        self.queues[action_id] += count

    def see(self, record: TaskRecord) -> None:
        """Remember the oldest."""
        at = record.task.queued_at
        self.oldest = at if self.oldest is None else min(self.oldest, at)
        if record.task.retry_count == 0:
            self.oldest_first_try = at if self.oldest_first_try is None else min(self.oldest_first_try, at)


@dataclass
class Live:
    """Waiting and running tasks by task name."""

    waiting: dict[str, Tally] = field(default_factory=dict)
    working: dict[str, Tally] = field(default_factory=dict)

    def tally(self, status: int, task: TaskDefinition) -> Tally:
        """Where tasks of that status and name are counted."""
        return (self.waiting if status in WAITING else self.working).setdefault(task.name, Tally())


async def live_tasks(caller: Caller) -> Live:
    """Count what waits and runs in a tenant."""
    live = Live()
    for workflow in await caller.reader.workflows(caller.tenant_no):
        query = RunQuery(workflow_ids=(workflow.id,), statuses=LIVE)
        counts = await caller.reader.status_counts(caller.tenant_no, query)
        if any(counts.get(status) for status in LIVE):
            await count_workflow(caller, workflow, counts, live)
    return live


async def count_workflow(caller: Caller, workflow: WorkflowRow, counts: Mapping[int, int], live: Live) -> None:
    """Add one workflow's tasks."""
    for statuses in (WAITING, WORKING):
        total = sum(counts.get(status, 0) for status in statuses)
        if not total:
            continue
        records = await newest(caller, workflow, statuses, total)
        tasks = [definition_of(record.version.definition).steps[record.task.step] for record in records]
        for record, task in zip(records, tasks, strict=True):
            live.tally(record.task.status, task).see(record)
        for task, count in shares(tasks, total):
            live.tally(min(statuses), task).add(task.action_id, count)


async def newest(caller: Caller, workflow: WorkflowRow, statuses: frozenset[int], total: int) -> list[TaskRecord]:
    """Live tasks of a workflow: the newest, and the oldest of all."""
    found: list[TaskRecord] = []
    for offset in range(0, min(total, LIVE_TASKS_READ_MAX), PAGE_MAX):
        query = RunQuery(workflow_ids=(workflow.id,), statuses=statuses, limit=PAGE_MAX, offset=offset)
        found.extend((await caller.reader.tasks(caller.tenant_no, query))[0])
    if total > LIVE_TASKS_READ_MAX:
        query = RunQuery(workflow_ids=(workflow.id,), statuses=statuses, limit=1, offset=total - 1)
        found.extend((await caller.reader.tasks(caller.tenant_no, query))[0])
    return found


def shares(tasks: Sequence[TaskDefinition], total: int) -> list[tuple[TaskDefinition, int]]:
    """The total by task; with one task in sight it is exact, however many were read."""
    seen = Counter(task.name for task in tasks)
    by_name = {task.name: task for task in tasks}
    if len(seen) == 1:
        return [(by_name[name], total) for name in seen]
    return [(by_name[name], count) for name, count in seen.items()]
