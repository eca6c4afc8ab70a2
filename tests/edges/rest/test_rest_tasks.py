"""Tasks over REST: one by its id, an earlier attempt, logs, explain, cancelling and replaying many."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from limpet.core.ids import SECOND_US
from limpet.core.inputs import CancelRequested, ReplayRequested
from limpet.core.rows import EventType, TaskStatus
from limpet.edges.rest import queries, tasks
from limpet.store.api import LogLine

from .world import NOW, OTHER, TENANT, World, task

TASKS = "/api/v1/stable/tasks"
BULK = f"/api/v1/stable/tenants/{TENANT.id}/tasks"
NOBODY = "01a0c450-6c00-7953-88f4-4348692302eb"


async def got(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_task_is_told_in_full(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", task("fetch", "Report"), task("write", "Report", parents=("fetch",)))
    record = await world.run("Report", TaskStatus.COMPLETED, TaskStatus.RUNNING)
    found = await got(http, f"{TASKS}/{record.tasks[0].id}")
    assert found["taskExternalId"] == found["metadata"]["id"] == record.tasks[0].id
    assert found["workflowRunExternalId"] == record.run.id
    assert found["actionId"] == "report:fetch"
    assert found["output"] == {"sum": 3}
    assert found["taskId"] == record.tasks[0].key
    assert found["payloadsRestricted"] is False


async def test_the_id_of_a_task_is_read_in_any_case(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet")
    assert (await got(http, f"{TASKS}/{record.run.id.upper()}"))["taskExternalId"] == record.run.id


async def test_an_earlier_attempt_is_told_by_its_events(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.COMPLETED)
    row = await world.change(record.tasks[0], retry_count=2)
    worker = await world.worker_joins("north", "greet:greet")
    for kind, at, retry_count, message in (
        (EventType.STARTED, NOW - 9 * SECOND_US, 0, ""),
        (EventType.FAILED, NOW - 7 * SECOND_US, 0, "ValueError: first"),
        (EventType.STARTED, NOW - 6 * SECOND_US, 1, ""),
        (EventType.REASSIGNED, NOW - 5 * SECOND_US, 1, "Worker did not send a heartbeat for 30 seconds"),
    ):
        await world.event(row, kind, at, retry_count=retry_count, worker=worker.key, message=message)
    first, second, third = [await got(http, f"{TASKS}/{row.id}", attempt=number) for number in (1, 2, 3)]
    assert (first["status"], first["errorMessage"], first["duration"], first["output"]) == (
        "FAILED",
        "ValueError: first",
        2000,
        {},
    )
    assert (second["status"], second["finishedAt"], second["retryCount"]) == ("RUNNING", None, 1)
    assert (third["status"], third["attempt"], third["output"]) == ("COMPLETED", 3, {"sum": 3})
    for number in (0, 4):
        assert (await http.get(f"{TASKS}/{row.id}", params={"attempt": number})).status_code == 404


@pytest.mark.parametrize("suffix", ["", "/logs", "/task-events", "/explain"])
@pytest.mark.parametrize("name", ["no-id", NOBODY])
async def test_an_unknown_task_is_a_404(http: httpx.AsyncClient, name: str, suffix: str) -> None:
    answer = await http.get(f"{TASKS}/{name}{suffix}")
    assert answer.status_code == 404
    assert answer.json() == {"errors": [{"code": 404, "description": f"task {name} not found"}]}


async def test_OB12_the_timeline_names_the_worker(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    worker = await world.worker_joins("north", "greet:greet")
    record = await world.run("greet", TaskStatus.COMPLETED)
    await world.change(record.tasks[0], worker_key=worker.key)
    rows = (await got(http, f"{TASKS}/{record.run.id}/task-events"))["rows"]
    assert [(row["eventType"], row["workerId"]) for row in rows] == [
        ("QUEUED", None),
        ("ASSIGNED", worker.worker_id),
        ("SENT_TO_WORKER", worker.worker_id),
        ("STARTED", worker.worker_id),
        ("FINISHED", worker.worker_id),
    ]
    assert all(row["message"] and row["taskDisplayName"] for row in rows)


async def test_OB14_explain_tells_why_a_task_waits(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet")
    found = await got(http, f"{TASKS}/{record.run.id}/explain")
    assert found["taskRunId"] == record.run.id
    assert (found["outlook"], found["reason"], found["position"]) == ("not now", "no_label_match", 1)
    assert found["text"] == "required label region EQUAL us matched by none of 1 workers"
    assert found["verdicts"][0]["workerName"] == "north"
    assert found["unblock"] == ["start one"]


# Logs


async def write_logs(world: World, run_id: str) -> None:
    lines = [
        ("INFO", "hello", 0, '{"a": 1}'),
        ("ERROR", "Broken pipe", 0, "[1]"),
        ("TRACE", "odd", 1, "no json"),
        ("WARN", "bye", 1, ""),
    ]
    await world.store.append_logs(
        [
            LogLine(TENANT.no, run_id, retry_count, NOW + place * SECOND_US, level, text, metadata)
            for place, (level, text, retry_count, metadata) in enumerate(lines)
        ]
    )


async def test_logs_are_told_oldest_first_with_their_attempt(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.RUNNING)
    await write_logs(world, record.run.id)
    rows = (await got(http, f"{TASKS}/{record.run.id}/logs"))["rows"]
    assert [row["message"] for row in rows] == ["hello", "Broken pipe", "odd", "bye"]
    assert [row["attempt"] for row in rows] == [1, 1, 2, 2]
    assert rows[0]["taskExternalId"] == record.run.id


async def test_trap_6_a_level_without_a_name_on_the_wire_is_left_out(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.RUNNING)
    await write_logs(world, record.run.id)
    rows = (await got(http, f"{TASKS}/{record.run.id}/logs"))["rows"]
    assert [row["level"] for row in rows] == ["INFO", "ERROR", None, "WARN"]


async def test_trap_1_log_metadata_is_an_object_whatever_was_sent(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.RUNNING)
    await write_logs(world, record.run.id)
    rows = (await got(http, f"{TASKS}/{record.run.id}/logs"))["rows"]
    assert [row["metadata"] for row in rows] == [{"a": 1}, {"value": [1]}, {"value": "no json"}, {}]


@pytest.mark.parametrize(
    ("query", "messages"),
    [
        ({"levels": ["ERROR", "WARN"]}, ["Broken pipe", "bye"]),
        ({"search": "PIPE"}, ["Broken pipe"]),
        ({"attempt": 2}, ["odd", "bye"]),
        ({"order_by_direction": "DESC", "limit": 2}, ["bye", "odd"]),
        ({"since": "2026-09-21T14:13:21.000000Z", "until": "2026-09-21T14:13:23.000000Z"}, ["Broken pipe", "odd"]),
    ],
)
async def test_logs_are_filtered(world: World, http: httpx.AsyncClient, query: dict[str, Any], messages: list[str]) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.RUNNING)
    await write_logs(world, record.run.id)
    rows = (await got(http, f"{TASKS}/{record.run.id}/logs", **query))["rows"]
    assert [row["message"] for row in rows] == messages


# Cancel and replay


async def test_W12_10_cancelling_by_id_answers_what_was_taken_on(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    open_run, ended = await world.run("greet", TaskStatus.RUNNING), await world.run("greet", TaskStatus.COMPLETED)
    ids = [open_run.run.id.upper(), ended.run.id]
    answer = await http.post(f"{BULK}/cancel", json={"externalIds": ids})
    assert answer.json() == {"ids": [open_run.run.id]}
    assert world.submitted == [(TENANT.id, CancelRequested((open_run.run.id, ended.run.id)))]


async def test_W12_8_replaying_by_filter_reaches_the_runs_that_match(world: World, http: httpx.AsyncClient) -> None:
    greet = await world.workflow("greet")
    await world.workflow("other")
    failed = await world.run("greet", TaskStatus.FAILED, metadata=b'{"customer":"7"}')
    await world.run("greet", TaskStatus.COMPLETED, metadata=b'{"customer":"7"}')
    await world.run("greet", TaskStatus.FAILED)
    await world.run("other", TaskStatus.FAILED, metadata=b'{"customer":"7"}')
    wanted = {
        "since": "2020-01-01T00:00:00Z",
        "statuses": ["FAILED"],
        "workflowIds": [greet.id],
        "additionalMetadata": ["customer:7"],
    }
    answer = await http.post(f"{BULK}/replay", json={"filter": wanted})
    assert answer.json() == {"ids": [failed.run.id]}
    assert world.submitted == [(TENANT.id, ReplayRequested((failed.run.id,)))]


async def test_a_filter_that_matches_many_is_handed_in_by_chunks(
    world: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAGE_MAX", 2)
    monkeypatch.setattr(tasks, "CANCELS_BY_FILTER_MAX", 5)
    assert queries.PAGE_MAX == 1_000
    await world.workflow("greet")
    made = [(await world.run("greet")).run.id for _ in range(7)]
    answer = await http.post(f"{BULK}/cancel", json={"filter": {"since": "2020-01-01T00:00:00Z"}})
    assert answer.status_code == 200
    assert answer.json()["ids"] == list(reversed(made))[:5]


@pytest.mark.parametrize("verb", ["cancel", "replay"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"externalIds": [NOBODY], "filter": {"since": "2020-01-01T00:00:00Z"}},
        {"externalIds": None, "filter": None},
        {"externalIds": ["no-id"]},
        {"externalIds": [1]},
        {"externalIds": NOBODY},
        {"externalIds": [NOBODY] * 1001},
        {"filter": {}},
        {"filter": {"since": "yesterday"}},
        {"filter": {"since": "2020-01-01T00:00:00Z", "statuses": ["DONE"]}},
        {"filter": {"since": "2020-01-01T00:00:00Z", "additionalMetadata": ["blue"]}},
    ],
)
async def test_W12_8_a_bulk_call_without_one_clear_choice_is_a_400(
    world: World, http: httpx.AsyncClient, verb: str, body: dict[str, Any]
) -> None:
    answer = await http.post(f"{BULK}/{verb}", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["description"]
    assert world.submitted == []


async def test_a_filter_never_reaches_another_tenants_runs(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet", no=OTHER.no)
    await world.run("greet", no=OTHER.no)
    answer = await http.post(f"{BULK}/cancel", json={"filter": {"since": "2020-01-01T00:00:00Z"}})
    assert answer.json() == {"ids": []}
    assert world.submitted == []
