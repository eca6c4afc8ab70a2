"""What the store holds after the last kill, and what the servers said of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limpet.core.rows import EventType, RunStatus, TaskRow
from limpet.store.api import EventQuery, EventRecord, Reader, RunRecord
from tests.cluster import witness
from tests.cluster.records import Line
from tests.soak.auditor import open_store

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Truth:
    """Runs by their ids with the timeline of their tasks, pushed events, and the lines of each server's log."""

    told: witness.Truth
    pushed: Sequence[EventRecord]
    logs: Mapping[str, list[Line]]

    def violations(self) -> list[str]:
        """What may not be, whatever the scenes did."""
        return witness.of_any_story(self.told, self.logs)

    def of(self, workflow: str) -> list[RunRecord]:
        """The runs of a workflow, oldest first."""
        return sorted((one for one in self.told.runs.values() if one.workflow.name == workflow), key=lambda one: one.run.key)

    def ended(self, workflow: str) -> list[str]:
        """The statuses of those runs."""
        return [RunStatus(one.run.status).name for one in self.of(workflow)]

    def tasks(self, workflow: str) -> list[TaskRow]:
        return [task for one in self.of(workflow) for task in one.tasks]

    def happened(self, task: TaskRow, kind: EventType) -> list[int]:
        """When, in microseconds."""
        return [event.at for event in self.told.events.get(task.key, ()) if event.type == kind]


async def truth(url: str, logs: Mapping[str, list[Line]]) -> Truth:
    """Read it all, after every server has gone."""
    store = open_store(url)
    await store.open()
    try:
        return Truth(await witness.read(store.reader), await _pushed(store.reader), logs)
    finally:
        await store.close()


async def _pushed(reader: Reader) -> list[EventRecord]:
    found: list[EventRecord] = []
    while True:
        page, _ = await reader.pushed_events(witness.TENANT, EventQuery(limit=PAGE, offset=len(found)))
        found += page
        if len(page) < PAGE:
            return found
