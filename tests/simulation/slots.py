"""Which slot of which cron a run was started for; read off its metadata."""

from __future__ import annotations

import json

from limpet.core.rows import RunRow

SLOT = "hatchet__cron_scheduled_at"
NAME = "hatchet__cron_name"


def slot_of(run: RunRow) -> tuple[int, str, str] | None:
    """What the run of a cron's slot is called; None for every other run."""
    said = json.loads(run.metadata or b"{}")
    return (run.workflow_key, said.get(NAME, ""), said[SLOT]) if SLOT in said else None
