"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.run_variables import (
    ctx_action_key,
    ctx_additional_metadata,
    ctx_hatchet_context,
    ctx_step_run_id,
    ctx_task_retry_count,
    ctx_worker_id,
    ctx_workflow_run_id,
    spawn_index_lock,
    workflow_spawn_indices,
)

__all__ = [
    "ctx_action_key",
    "ctx_additional_metadata",
    "ctx_hatchet_context",
    "ctx_step_run_id",
    "ctx_task_retry_count",
    "ctx_worker_id",
    "ctx_workflow_run_id",
    "spawn_index_lock",
    "workflow_spawn_indices",
]
