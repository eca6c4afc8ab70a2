"""Stream chunks in the order in which their task numbered them (W14.2, E3). Pure: time is handed in.

Laws:
1. Chunks of one attempt leave by rising index; a chunk that comes after its place was passed is dropped.
2. A gap is waited for, but not longer than `GAP_WAIT_S`; before the first chunk of a task, `JOIN_WAIT_S`,
   because whoever joins late cannot know what came before.
3. A newer attempt of the task starts over from 0; what still waited of the older one is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GAP_WAIT_S = 5.0  # W14.2
JOIN_WAIT_S = 0.5
WAITING_BYTES_MAX = 1024 * 1024  # of early chunks of one run; beyond it gaps are not waited for


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a task sent to those who watch its run. `at` is microseconds; index None: not numbered, sent as it comes."""

    workflow_run_id: str
    task_run_id: str
    text: bytes
    index: int | None
    at: int


@dataclass(slots=True)
class _Task:
    """What is known of one task's chunks. Owned by ChunkOrder."""

    attempt: int = 0
    expected: int = 0
    started: bool = False
    waiting: dict[int, Chunk] = field(default_factory=dict)
    gap_ends_at: float | None = None


class ChunkOrder:
    """The order of one run's chunks for one watcher, task by task."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}
        self._waiting_bytes = 0

    def add(self, chunk: Chunk, now: float) -> list[Chunk]:
        """The chunks that may be sent now, in order: this one, or it and those that waited for it, or none."""
        if chunk.index is None:
            return [chunk]
        task = self._tasks.setdefault(chunk.task_run_id, _Task())
        if chunk.index < task.expected or chunk.index in task.waiting:
            return []
        task.waiting[chunk.index] = chunk
        self._waiting_bytes += len(chunk.text)
        if self._waiting_bytes > WAITING_BYTES_MAX:
            return self._skip_gap(task, now)
        return self._release(task, now)

    def attempt(self, task_run_id: str, attempt: int) -> None:
        """An attempt of the task was heard of; a newer one makes the numbers start over."""
        task = self._tasks.setdefault(task_run_id, _Task(attempt))
        if attempt > task.attempt:
            self._waiting_bytes -= sum(len(chunk.text) for chunk in task.waiting.values())
            self._tasks[task_run_id] = _Task(attempt)

    @property
    def next_due(self) -> float | None:
        """When the next gap has been waited for long enough."""
        return min((task.gap_ends_at for task in self._tasks.values() if task.gap_ends_at is not None), default=None)

    def due(self, now: float) -> list[Chunk]:
        """What may be sent because its gap was waited for long enough."""
        late = [task for task in self._tasks.values() if task.gap_ends_at is not None and task.gap_ends_at <= now]
        return [chunk for task in late for chunk in self._skip_gap(task, now)]

    def flush(self) -> list[Chunk]:
        """Everything that waits, in order: nothing will follow."""
        return [chunk for task in self._tasks.values() for chunk in self._take(task, sorted(task.waiting))]

    def _skip_gap(self, task: _Task, now: float) -> list[Chunk]:
        task.expected = min(task.waiting)
        return self._release(task, now)

    def _release(self, task: _Task, now: float) -> list[Chunk]:
        run = 0
        while task.expected + run in task.waiting:
            run += 1
        ready = self._take(task, range(task.expected, task.expected + run))
        task.expected += run
        task.started = task.started or bool(ready)
        if not task.waiting:
            task.gap_ends_at = None
        elif ready or task.gap_ends_at is None:
            task.gap_ends_at = now + (GAP_WAIT_S if task.started else JOIN_WAIT_S)
        return ready

    def _take(self, task: _Task, indexes: range | list[int]) -> list[Chunk]:
        chunks = [task.waiting.pop(index) for index in indexes]
        self._waiting_bytes -= sum(len(chunk.text) for chunk in chunks)
        return chunks
