"""Payloads for deliveries: what was just committed comes from a bounded cache, the rest in one read of the store.

Law: nothing enters the cache before its commit has returned, so nothing leaves the engine that is not durable (D2).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from limpet.core.decision import Changes, Delivery, PayloadRef, RunFinished, StartTask
from limpet.core.rows import TaskRow

ENTRY_BYTES = 200  # a key, a bytes object and their place in the table
_INPUT, _OUTPUT, _ERROR, _EVENT = 0, 1, 2, 3


class PayloadCache:
    """The most recently used payloads, by the row that holds them and the column."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._texts: OrderedDict[int, bytes] = OrderedDict()
        self.size: int = 0

    def __len__(self) -> int:
        return len(self._texts)

    def keep(self, changes: Changes) -> None:
        """Remember the payloads of changes that are committed."""
        for run in changes.runs_opened:
            if run.input is not None:
                self._put(run.key << 2 | _INPUT, run.input)
        if changes.waits:  # else no task has waited for these events
            for event in changes.pushed_events:
                self._put(event.key << 2 | _EVENT, event.payload)
        for task in changes.tasks_opened:
            self._keep_task(task)
        for task in changes.tasks_changed:
            self._keep_task(task)

    def fill(self, ref: PayloadRef) -> bool:
        """Put the payload into the reference if it is here."""
        key = _key(ref)
        text = self._texts.get(key)
        if text is None:
            return False
        self._texts.move_to_end(key)
        ref.data = text
        return True

    def clear(self) -> None:
        self._texts.clear()
        self.size = 0

    def _keep_task(self, task: TaskRow) -> None:
        if task.output is not None:
            self._put(task.key << 2 | _OUTPUT, task.output)
        if task.error is not None:
            self._put(task.key << 2 | _ERROR, task.error.encode())

    def _put(self, key: int, text: bytes) -> None:
        old = self._texts.pop(key, None)
        if old is not None:
            self.size -= len(old) + ENTRY_BYTES
        self._texts[key] = text
        self.size += len(text) + ENTRY_BYTES
        while self.size > self._bytes_max:
            _, gone = self._texts.popitem(last=False)
            self.size -= len(gone) + ENTRY_BYTES


def _key(ref: PayloadRef) -> int:
    column = _INPUT if ref.of_run else _EVENT if ref.of_event else _ERROR if ref.is_error else _OUTPUT
    return ref.key << 2 | column


def lacking(deliveries: Iterable[Delivery], cache: PayloadCache, wants_result: Callable[[str], bool]) -> list[PayloadRef]:
    """Fill what the cache knows; the references that still lack their payload, in order."""
    missing: list[PayloadRef] = []
    for delivery in deliveries:
        if isinstance(delivery, StartTask):
            if delivery.input.data is None and not cache.fill(delivery.input):
                missing.append(delivery.input)
            if delivery.parents or delivery.errors or delivery.triggers:
                refs = (*delivery.parents, *delivery.errors, *delivery.triggers)
                missing.extend(ref for ref in refs if ref.data is None and not cache.fill(ref))
        elif isinstance(delivery, RunFinished):
            missing.extend(ref for ref in _wanted(delivery, wants_result) if ref.data is None and not cache.fill(ref))
    return missing


def _wanted(finished: RunFinished, wants_result: Callable[[str], bool]) -> Sequence[PayloadRef]:
    """The results of a finished run, if anybody waits for them."""
    refs = [result.payload for result in finished.results if result.payload is not None]
    return refs if refs and wants_result(finished.workflow_run_id) else ()


def rows_of(refs: Sequence[PayloadRef]) -> tuple[list[PayloadRef], list[PayloadRef]]:
    """References to runs and to tasks, one for each row, as `Reader.payloads` takes them."""
    runs = {ref.key: ref for ref in refs if ref.of_run}
    tasks = {ref.key: ref for ref in refs if not ref.of_run and not ref.of_event}
    return list(runs.values()), list(tasks.values())


def events_of(refs: Sequence[PayloadRef]) -> list[int]:
    """Row keys of the events that are referred to, each once."""
    return list(dict.fromkeys(ref.key for ref in refs if ref.of_event))


def fill_from_rows(refs: Sequence[PayloadRef], inputs: dict[int, bytes], tasks: dict[int, TaskRow]) -> list[PayloadRef]:
    """Put what was read into the references to runs and tasks; those whose row is not there any more."""
    absent = []
    for ref in refs:
        if ref.of_event:
            continue
        ref.data = inputs.get(ref.key) if ref.of_run else _column(tasks.get(ref.key), ref)
        if ref.data is None:
            absent.append(ref)
    return absent


def fill_from_events(refs: Sequence[PayloadRef], payloads: Mapping[int, bytes]) -> None:
    """The same for events. One whose retention is over says nothing any more, which must not keep its task from running."""
    for ref in refs:
        if ref.of_event:
            ref.data = payloads.get(ref.key, b"{}")


def _column(task: TaskRow | None, ref: PayloadRef) -> bytes | None:
    """A task without output, or without error, has an empty one."""
    if task is None:
        return None
    if ref.is_error:
        return (task.error or "").encode()
    return task.output or b""


def is_complete(start: StartTask) -> bool:
    """Whether a start has all its payloads; without them it must not be sent."""
    return start.input.data is not None and all(ref.data is not None for ref in (*start.parents, *start.errors, *start.triggers))
