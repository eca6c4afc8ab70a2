"""`limpet crons`, `limpet schedules`, `limpet workflows pause`: what the clock starts, and what may not start, from a shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from running_engine import Command, Running, running

from limpet.contracts import admin_pb2 as admin
from limpet.contracts.stubs import AdminServiceStub

NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An engine with a workflow `report` that nobody works on, and a declared cron."""
    with running("dev", cwd=tmp_path_factory.mktemp("planning")) as found:
        only = admin.CreateTaskOpts(readable_id="write", action="report:write")
        request = admin.CreateWorkflowVersionRequest(name="report", tasks=[only], cron_triggers=["0 3 1 1 *"])
        with grpc.insecure_channel(found.ready["grpc"]) as channel:
            metadata = (("authorization", f"bearer {found.ready['token']}"),)
            AdminServiceStub(channel).PutWorkflow(request, metadata=metadata, timeout=10)
        yield found


def said(limpet: Command, engine: Running, *words: str) -> str:
    result = limpet(*words, env=engine.environment)
    assert result.returncode == 0, result.stderr
    return str(result.stdout)


def told(limpet: Command, engine: Running, *words: str) -> Any:
    return json.loads(said(limpet, engine, *words, "--json"))


def test_a_cron_is_made_listed_paused_resumed_triggered_and_deleted(engine: Running, limpet: Command) -> None:
    options = ("--input", '{"region": "asia"}', "--metadata", "team=a", "--priority", "3")
    made = told(limpet, engine, "crons", "create", "report", "asia", "@hourly", *options)
    identity = made["metadata"]["id"]
    assert (made["input"], made["additionalMetadata"], made["priority"]) == ({"region": "asia"}, {"team": "a"}, 3)
    lines = said(limpet, engine, "crons", "list", "--workflow", "report").splitlines()
    assert [("its workflow" in line, "a call" in line) for line in lines if "report" in line] == [(False, True), (True, False)]
    assert "limpet crons resume" in said(limpet, engine, "crons", "pause", identity)
    assert any(identity in line and "paused" in line for line in said(limpet, engine, "crons", "list").splitlines())
    said(limpet, engine, "crons", "resume", identity)
    run = told(limpet, engine, "crons", "trigger", identity)["workflowRunId"]
    assert told(limpet, engine, "runs", "get", run)["run"]["input"] == {"region": "asia"}
    said(limpet, engine, "crons", "delete", identity)
    assert identity not in said(limpet, engine, "crons", "list")


def test_a_run_is_scheduled_listed_triggered_and_deleted(engine: Running, limpet: Command) -> None:
    at = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    first = told(limpet, engine, "schedules", "create", "report", at.isoformat(), "--metadata", "who=me")
    assert datetime.fromisoformat(first["triggerAt"]) == at
    second = told(limpet, engine, "schedules", "create", "report", (at - timedelta(hours=1)).isoformat())
    lines = said(limpet, engine, "schedules", "list", "--workflow", "report").splitlines()
    order = [line.split()[0] for line in lines if "report" in line]
    assert order == [second["metadata"]["id"], first["metadata"]["id"]], "the earliest first"
    mine = told(limpet, engine, "schedules", "list", "--metadata", "who=me")
    assert [row["metadata"]["id"] for row in mine["rows"]] == order[1:]
    assert "Follow it: limpet runs get" in said(limpet, engine, "schedules", "trigger", order[0])
    assert "Deleted" in said(limpet, engine, "schedules", "delete", order[1])
    assert "No run is scheduled" in said(limpet, engine, "schedules", "list")


def test_a_workflow_is_paused_and_goes_on(engine: Running, limpet: Command) -> None:
    shown = told(limpet, engine, "workflows", "pause", "report", "--queue-ttl", "90s", "--crons", "drop")
    assert (shown["isPaused"], shown["pausedWorkflowCronRunQueueBehavior"]) == (True, "DROP")
    assert any("report" in line and "yes" in line for line in said(limpet, engine, "workflows", "list").splitlines())
    run = told(limpet, engine, "workflows", "trigger", "report")["run"]["metadata"]["id"]
    assert "no worker registers report:write" in said(limpet, engine, "runs", "explain", run)
    assert said(limpet, engine, "workflows", "unpause", "report") == "report goes on.\n"
    assert told(limpet, engine, "workflows", "list")["rows"][0]["isPaused"] is False


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("crons", "create", "report", "n", "* * *"), 1, "Cron expression"),
        (("crons", "trigger", NOBODY), 3, NOBODY),
        (("crons", "list", "--workflow", "nobody"), 3, "There is no workflow nobody"),
        (("schedules", "create", "report", "soon"), 2, "'soon' is no time"),
        (("schedules", "create", "nobody", "2999-01-01T00:00:00Z"), 1, "nobody"),
        (("schedules", "delete", NOBODY), 3, NOBODY),
        (("workflows", "pause", "report", "--queue-ttl", "soon"), 1, "PausedWorkflowQueueTTL"),
        (("workflows", "unpause", "nobody"), 3, "There is no workflow nobody"),
    ],
)
def test_what_is_refused_says_why(engine: Running, limpet: Command, words: tuple[str, ...], code: int, sentence: str) -> None:
    result = limpet(*words, env=engine.environment)
    assert sentence in result.stderr
    assert result.returncode == code
