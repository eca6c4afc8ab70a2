"""Who follows what happens in runs: their tasks' changes, their stream chunks, their end (W14.1).

A watcher that does not read loses its stream at the bound, without patience: chunks come as fast as a task
can send them, and nothing else bounds them (R45).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from limpet.core.decision import RunFinished, TaskChanged
from limpet.core.ids import TenantId
from limpet.edges.chunk_order import Chunk
from limpet.edges.outbox import Outbox

CHANGE_BYTES = 256

Happening = TaskChanged | RunFinished | Chunk


@dataclass(frozen=True, slots=True, eq=False)
class RunWatcher:
    """One stream that follows one run, or, with `workflow_run_id` None, all runs of its tenant."""

    tenant: TenantId
    workflow_run_id: str | None
    box: Outbox[Happening]


class RunWatchers:
    """All streams that follow runs. `new_box` makes their buffers."""

    def __init__(self, new_box: Callable[[], Outbox[Happening]]) -> None:
        self._new_box = new_box
        self._by_run: dict[tuple[str, str | None], list[RunWatcher]] = {}

    def __iter__(self) -> Iterator[RunWatcher]:
        return (watcher for watchers in list(self._by_run.values()) for watcher in watchers)

    def open(self, tenant: TenantId, workflow_run_id: str | None) -> RunWatcher:
        """A new following stream; give it back with `close`."""
        watcher = RunWatcher(tenant, workflow_run_id, self._new_box())
        self._by_run.setdefault((tenant, workflow_run_id), []).append(watcher)
        return watcher

    def close(self, watcher: RunWatcher) -> None:
        """The stream is over; harmless when called twice."""
        key = (watcher.tenant, watcher.workflow_run_id)
        left = [other for other in self._by_run.get(key, ()) if other is not watcher]
        if left:
            self._by_run[key] = left
        else:
            self._by_run.pop(key, None)

    def tell(self, tenant: TenantId, happening: Happening) -> int:
        """Pass it on to all who follow its run; returns how many took it."""
        if not self._by_run:
            return 0
        size = CHANGE_BYTES + (len(happening.text) if isinstance(happening, Chunk) else 0)
        keys = ((tenant, happening.workflow_run_id), (tenant, None))
        return sum(watcher.box.put(happening, size) for key in keys for watcher in list(self._by_run.get(key, ())))
