"""Context variables of the running task, and the counters that number its children (W10.2)."""

from __future__ import annotations

import threading
from collections import Counter
from contextvars import ContextVar
from typing import Any

from limpet.sdk.context import Context

ctx_workflow_run_id: ContextVar[str | None] = ContextVar("ctx_workflow_run_id", default=None)
ctx_action_key: ContextVar[str | None] = ContextVar("ctx_action_key", default=None)
ctx_step_run_id: ContextVar[str | None] = ContextVar("ctx_step_run_id", default=None)
ctx_worker_id: ContextVar[str | None] = ContextVar("ctx_worker_id", default=None)
ctx_additional_metadata: ContextVar[dict[str, Any] | None] = ContextVar("ctx_additional_metadata", default=None)
ctx_task_retry_count: ContextVar[int] = ContextVar("ctx_task_retry_count", default=0)
ctx_hatchet_context: ContextVar[Context | None] = ContextVar("ctx_hatchet_context", default=None)

workflow_spawn_indices: Counter[str] = Counter()
"""Children spawned so far, by attempt (`ctx_action_key`). Sync and async spawns share it under `spawn_index_lock`."""

spawn_index_lock: threading.Lock = threading.Lock()


def next_child_index(action_key: str) -> int:
    """The index of the attempt's next child, counted from 0 in the order of spawning."""
    with spawn_index_lock:
        index = workflow_spawn_indices[action_key]
        workflow_spawn_indices[action_key] = index + 1
        return index


def forget_children(action_key: str) -> None:
    """Drop the counter of an attempt that has ended."""
    with spawn_index_lock:
        workflow_spawn_indices.pop(action_key, None)
