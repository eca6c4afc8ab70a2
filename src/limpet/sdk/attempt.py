"""One attempt at a task, as the engine handed it out: ids, payload, number of the try."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Any

logger: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """What identifies an attempt. A newer attempt of the same task on the same worker is another one (CN-4)."""

    task_run_id: str
    retry_count: int

    def __str__(self) -> str:
        return f"{self.task_run_id}/{self.retry_count}"


@dataclass(frozen=True, slots=True)
class Payload:
    """The JSON that travels with a start."""

    input: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, Any] = field(default_factory=dict)
    triggers: dict[str, Any] = field(default_factory=dict)
    filter_payload: dict[str, Any] = field(default_factory=dict)
    step_run_errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A start, ready to be run. Absent ids are None."""

    key: AttemptKey
    action_id: str
    workflow_run_id: str
    payload: Payload
    task_id: str = ""
    job_id: str = ""
    job_run_id: str = ""
    additional_metadata: dict[str, Any] = field(default_factory=dict)
    child_index: int | None = None
    child_key: str | None = None
    parent_workflow_run_id: str | None = None
    priority: int | None = None
    workflow_id: str | None = None
    workflow_version_id: str | None = None
    triggering_event_id: str | None = None
    triggering_event_key: str | None = None


def read_payload(text: str | bytes, *, task_run_id: str) -> Payload:
    """The payload of a start. What is absent or null is empty; an unreadable text is logged and read as empty."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        logger.exception("The payload of task run %s is not JSON; the task runs with an empty input.", task_run_id)
        value = {}
    members = value if isinstance(value, dict) else {}
    triggers = _object(members, "triggers")
    return Payload(
        input=_object(members, "input"),
        parents=_object(members, "parents"),
        triggers=triggers,
        filter_payload=_object(triggers, "filter_payload"),
        step_run_errors=_object(members, "step_run_errors"),
    )


def _object(members: dict[str, Any], key: str) -> dict[str, Any]:
    value = members.get(key)
    return value if isinstance(value, dict) else {}
