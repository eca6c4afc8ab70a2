"""A workflow's graph for the wire: definitions by version, and ids for steps and jobs, which we do not store.

Official clients want UUIDs for steps; ours follow from the version's id, so that they are the same everywhere.
"""

from __future__ import annotations

from functools import lru_cache
from uuid import NAMESPACE_OID, UUID, uuid5

from limpet.core.definition_text import decode_definition
from limpet.core.definitions import WorkflowDefinition
from limpet.core.rows import TaskRow, VersionRow
from limpet.edges.rest.schemas import ShapeItem

DEFINITIONS_MAX = 1_024  # decoded ones; some 2 KB each, and a page shows few different workflows
NIL_ID = str(UUID(int=0))  # stands for a task that does not exist yet (W4.2)


@lru_cache(maxsize=DEFINITIONS_MAX)
def definition_of(text: bytes) -> WorkflowDefinition:
    """The definition that a version row keeps."""
    return decode_definition(text)


def step_id(version_id: str, step: int) -> str:
    """The id of a step of a version."""
    return str(uuid5(NAMESPACE_OID, f"{version_id}/step/{step}"))


def job_id(version_id: str, job: int) -> str:
    """The id of a job of a version: 0 for its tasks, 1 for the on-failure task."""
    return str(uuid5(NAMESPACE_OID, f"{version_id}/job/{job}"))


def is_one_task(definition: WorkflowDefinition) -> bool:
    """Whether a run of it is its only task (W1.4)."""
    return len(definition.steps) == 1


def shape(version: VersionRow, tasks: list[TaskRow]) -> list[ShapeItem]:
    """Every step of the graph with the task that carries it out, if that exists."""
    definition = definition_of(version.definition)
    ids = {task.step: task.id for task in tasks}
    return [
        ShapeItem(
            task_external_id=ids.get(step, NIL_ID),
            step_id=step_id(version.id, step),
            children_step_ids=[step_id(version.id, child) for child in definition.child_steps[step]],
            task_name=task.name,
        )
        for step, task in enumerate(definition.steps)
    ]
