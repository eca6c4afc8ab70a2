"""Waiting for something to end by asking again: log lines of a run, the result of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from limpet.cli.api import Api

ASK_AGAIN_S = 0.5  # soon enough for eyes, seldom enough for an engine with many watchers
ENDED = frozenset({"COMPLETED", "CANCELLED", "FAILED"})


def follow_logs(
    api: Api, details: Mapping[str, Any], query: Mapping[str, Any], *, keep_waiting: bool
) -> Iterator[Mapping[str, Any]]:
    """Log lines of all tasks of a run, each once; with `keep_waiting` until the run has ended."""
    shown: dict[str, int] = {}
    run_id = details["run"]["metadata"]["id"]
    while True:
        ended = not keep_waiting or api.get(f"/api/v1/stable/workflow-runs/{run_id}/status") in ENDED
        if keep_waiting:
            details = api.get(f"/api/v1/stable/workflow-runs/{run_id}")
        for task in details["tasks"]:
            identity = task["taskExternalId"]
            rows = api.get(f"/api/v1/stable/tasks/{identity}/logs", query).get("rows") or []
            yield from rows[shown.get(identity, 0) :]
            shown[identity] = max(len(rows), shown.get(identity, 0))
        if ended:  # asked before the last look, so that the last lines are not missed
            return
        time.sleep(ASK_AGAIN_S)


def wait_for_run(api: Api, run_id: str) -> Any:
    """The details of a run once it has ended."""
    while api.get(f"/api/v1/stable/workflow-runs/{run_id}/status") not in ENDED:
        time.sleep(ASK_AGAIN_S)
    return api.get(f"/api/v1/stable/workflow-runs/{run_id}")
