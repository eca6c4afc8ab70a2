"""Small bounded memories of what never changes, so that hot calls need no read of the store."""

from __future__ import annotations

from collections import OrderedDict

from limpet.core.definition_text import decode_definition
from limpet.core.ids import TenantNo
from limpet.core.rows import VersionRow
from limpet.store.api import Reader

TASK_RUNS_MAX = 10_000  # 250 bytes each; tasks that log or stream right now
VERSIONS_MAX = 1_000  # names of the tasks of a version


class TaskRuns:
    """Which run a task belongs to; read once for each task."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._runs: OrderedDict[tuple[int, str], str] = OrderedDict()

    async def run_of(self, tenant_no: TenantNo, task_run_id: str) -> str | None:
        """The run's id; None when the tenant has no such task."""
        key = (tenant_no, task_run_id)
        if key in self._runs:
            self._runs.move_to_end(key)
            return self._runs[key]
        record = await self._reader.task(tenant_no, task_run_id)
        if record is None:
            return None
        self._runs[key] = record.run.id
        if len(self._runs) > TASK_RUNS_MAX:
            self._runs.popitem(last=False)
        return record.run.id


class StepNames:
    """The names of a version's tasks by step; a version never changes."""

    def __init__(self) -> None:
        self._names: OrderedDict[int, tuple[str, ...]] = OrderedDict()

    def of(self, version: VersionRow) -> tuple[str, ...]:
        """Names by step number."""
        names = self._names.get(version.key)
        if names is None:
            names = self._names[version.key] = tuple(task.name for task in decode_definition(version.definition).steps)
            if len(self._names) > VERSIONS_MAX:
                self._names.popitem(last=False)
        return names
