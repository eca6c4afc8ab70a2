"""Explain a task that memory does not know: it has ended, or there is none."""

from __future__ import annotations

from datetime import UTC, datetime

from limpet.core.errors import NotFound
from limpet.core.explain import Explanation, Outlook, Reason
from limpet.core.ids import SECOND_US, TenantNo, is_uuid
from limpet.core.rows import TaskRow, TaskStatus
from limpet.store.api import Reader


async def explain_ended(reader: Reader, tenant_no: TenantNo, task_run_id: str) -> Explanation | None:
    """The explanation of a task that has ended; None when it has not. Raises NotFound."""
    record = await reader.task(tenant_no, task_run_id) if is_uuid(task_run_id) else None
    if record is None:
        raise NotFound("task", task_run_id, "the run may be past its retention")
    if not TaskStatus(record.task.status).is_terminal:
        return None
    return Explanation(task_run_id, Outlook.ENDED, Reason.NONE, _sentence(record.task))


def _sentence(task: TaskRow) -> str:
    how = TaskStatus(task.status).name.lower()
    assert task.finished_at is not None, f"task {task.id} has ended at no time"
    when = datetime.fromtimestamp(task.finished_at / SECOND_US, UTC).isoformat(timespec="milliseconds")
    return f"the task ended as {how} at {when}"
