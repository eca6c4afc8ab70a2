"""What tasks wait for, as people read it: the conditions of a definition, and what of them is still to come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from limpet.core.condition_text import LISTS, described
from limpet.core.definitions import TaskDefinition
from limpet.core.errors import LimpetError
from limpet.core.explain import Reason
from limpet.core.rows import TaskRow, TaskStatus
from limpet.edges.rest.caller import Caller
from limpet.edges.rest.schemas_workflows import ConditionsShown

AWAITED_TOLD_MAX = 20  # tasks of one answer; `explain` tells the others


def conditions_shown(task: TaskDefinition) -> list[ConditionsShown]:
    """Each group of alternatives, in words."""
    found: dict[tuple[int, int], list[str]] = {}
    for one in task.conditions:
        found.setdefault((one.action, one.group), []).append(described(one))
    names = {int(action): name for action, name in LISTS.items()}
    return [ConditionsShown(list_name=names[action], any_of=words) for (action, _), words in found.items()]


async def awaited_by(caller: Caller, tasks: Iterable[TaskRow]) -> Mapping[str, str]:
    """By task run id, a sentence for tasks that wait for their conditions; none for one that cannot be asked right now."""
    pending = [task.id for task in tasks if task.status == TaskStatus.PENDING][:AWAITED_TOLD_MAX]
    sentences = await asyncio.gather(*(_sentence(caller, task_run_id) for task_run_id in pending))
    return {task_run_id: text for task_run_id, text in zip(pending, sentences, strict=True) if text}


async def _sentence(caller: Caller, task_run_id: str) -> str | None:
    try:
        found = await caller.door.explain(caller.tenant, task_run_id)
    except LimpetError:
        return None
    return found.text if found.reason is Reason.CONDITION_UNMET else None
