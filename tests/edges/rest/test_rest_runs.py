"""Workflow runs over REST: lists, ids, one in full, its status and older shape, triggering."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from limpet.core.definitions import Comparator, DesiredLabel
from limpet.core.errors import EngineStopping, InternalError, LimitReached, NotFound, NotSupported
from limpet.core.explain import Explanation, Outlook, Reason
from limpet.core.ids import SECOND_US
from limpet.core.inputs import KeyTaken, RunsTriggered
from limpet.core.rows import RunStatus, TaskStatus
from limpet.edges.rest.awaited import AWAITED_TOLD_MAX
from limpet.edges.trace_context import traceparent

from .world import NOW, NOW_S, OTHER, TENANT, World, task

RUNS = f"/api/v1/stable/tenants/{TENANT.id}/workflow-runs"
SINCE = {"since": "2020-01-01T00:00:00.000000Z"}
DAG = (task("fetch", "Report"), task("split", "Report"), task("write", "Report", parents=("fetch", "split")))


async def listed(http: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await http.get(RUNS, params={**SINCE, "only_tasks": False, **query})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def ids(http: httpx.AsyncClient, **query: Any) -> list[str]:
    return [row["metadata"]["id"] for row in (await listed(http, **query))["rows"]]


# Lists


async def test_W13_9_a_run_of_one_task_is_its_task(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.COMPLETED)
    (row,) = (await listed(http))["rows"]
    assert row["type"] == "TASK"
    assert row["taskExternalId"] == row["workflowRunExternalId"] == row["metadata"]["id"] == record.run.id
    assert row["status"] == "COMPLETED"
    assert (row["retryCount"], row["attempt"]) == (0, 1)
    assert row["output"] == {"sum": 3}
    assert row["input"] == {"n": 1.0}
    assert row["additionalMetadata"] == {"customer": "42", "traceparent": traceparent(record.run.id)}
    assert row["duration"] == 2000
    assert row["displayName"] == f"greet-{record.run.created_at // 1000}"
    assert row["actionId"] == "greet:greet"
    assert row["workflowName"] == "greet"
    assert row["children"] is None


async def test_W13_9_a_run_of_several_tasks_has_them_as_children(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", *DAG)
    record = await world.run("Report", TaskStatus.COMPLETED, TaskStatus.RUNNING, status=RunStatus.RUNNING)
    (row,) = (await listed(http))["rows"]
    assert row["type"] == "DAG"
    assert row["displayName"] == f"Report-{record.run.created_at // 1000}"
    assert [child["taskExternalId"] for child in row["children"]] == [each.id for each in record.tasks]
    assert [child["status"] for child in row["children"]] == ["COMPLETED", "RUNNING"]
    assert row["output"] == {"fetch": {"sum": 3}}
    assert {child["workflowRunExternalId"] for child in row["children"]} == {record.run.id}


async def test_only_tasks_lists_every_task_by_itself(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", *DAG)
    record = await world.run("Report", TaskStatus.COMPLETED, TaskStatus.FAILED)
    rows = (await listed(http, only_tasks=True))["rows"]
    assert {row["taskExternalId"] for row in rows} == {each.id for each in record.tasks}
    assert {row["displayName"].partition("-")[0] for row in rows} == {"fetch", "split"}
    failed = next(row for row in rows if row["status"] == "FAILED")
    assert failed["errorMessage"] == "ValueError: no such thing"
    assert failed["output"] == {}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (TaskStatus.PENDING, "QUEUED"),
        (TaskStatus.QUEUED, "QUEUED"),
        (TaskStatus.BACKING_OFF, "QUEUED"),
        (TaskStatus.ASSIGNED, "RUNNING"),
        (TaskStatus.RUNNING, "RUNNING"),
        (TaskStatus.COMPLETED, "COMPLETED"),
        (TaskStatus.SKIPPED, "COMPLETED"),
        (TaskStatus.FAILED, "FAILED"),
        (TaskStatus.CANCELLED, "CANCELLED"),
    ],
)
async def test_every_status_is_shown_and_found_under_one_of_five_names(
    world: World, http: httpx.AsyncClient, status: TaskStatus, name: str
) -> None:
    await world.workflow("greet")
    record = await world.run("greet", status)
    rows = (await listed(http, only_tasks=True, statuses=[name]))["rows"]
    assert [(row["taskExternalId"], row["status"]) for row in rows] == [(record.run.id, name)]
    others = [other for other in ("QUEUED", "RUNNING", "COMPLETED", "CANCELLED", "FAILED") if other != name]
    assert await ids(http, only_tasks=True, statuses=others) == []


async def test_trap_1_payloads_that_are_not_wanted_are_empty_objects(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    await world.run("greet", TaskStatus.COMPLETED)
    await world.run("greet", TaskStatus.FAILED)
    for row in (await listed(http, include_payloads=False))["rows"]:
        assert (row["input"], row["output"]) == ({}, {})
        assert (row["status"] == "FAILED") == (row["errorMessage"] is not None)


async def test_lists_filter_by_workflow_metadata_parent_and_worker(world: World, http: httpx.AsyncClient) -> None:
    greet, report = await world.workflow("greet"), await world.workflow("Report", *DAG)
    worker = await world.worker_joins("north", "greet:greet")
    parent = await world.run("Report", TaskStatus.RUNNING)
    child = await world.run("greet", parent_task_id=parent.tasks[0].id, metadata=b'{"customer":"7","blue":true}')
    other = await world.run("greet", TaskStatus.RUNNING)
    await world.change(other.tasks[0], worker_key=worker.key)
    assert set(await ids(http, workflow_ids=[greet.id])) == {child.run.id, other.run.id}
    assert set(await ids(http, workflow_ids=[greet.id.upper(), report.id])) == {parent.run.id, child.run.id, other.run.id}
    assert await ids(http, parent_task_external_id=parent.tasks[0].id) == [child.run.id]
    assert await ids(http, worker_id=worker.worker_id) == [other.run.id]
    assert await ids(http, additional_metadata=["customer:7"]) == [child.run.id]
    pairs = ["customer:42", "blue:true"]
    assert len(await ids(http, additional_metadata=pairs)) == 3
    assert await ids(http, additional_metadata=pairs, additional_metadata_operator="AND") == []
    assert await ids(http, additional_metadata=["customer:7", "blue:true"], additional_metadata_operator="AND") == [child.run.id]


async def test_lists_by_an_event_or_an_idempotency_key_that_nobody_has_are_empty(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.RUNNING)
    assert await ids(http, triggering_event_external_id=record.run.id) == []
    assert await ids(http, idempotency_keys=["x"]) == []


async def test_no_running_task_is_evicted(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    running, ended = await world.run("greet", TaskStatus.RUNNING), await world.run("greet", TaskStatus.COMPLETED)
    assert set(await ids(http, running_filter="ON_WORKER")) == {running.run.id, ended.run.id}
    assert await ids(http, running_filter="EVICTED") == [ended.run.id]
    assert await ids(http, running_filter="EVICTED", statuses=["RUNNING"]) == []


async def test_lists_are_bounded_by_time_whatever_the_zone(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet")
    born = datetime.fromtimestamp(record.run.created_at / SECOND_US, UTC)
    just_before, just_after = born - timedelta(seconds=1), born + timedelta(seconds=1)
    plain = "%Y-%m-%dT%H:%M:%S.%fZ"
    assert await ids(http, since=just_before.strftime(plain)) == [record.run.id]
    assert await ids(http, since=just_after.strftime(plain)) == []
    assert await ids(http, until=just_before.strftime(plain)) == []
    east = just_before.astimezone(None).isoformat()
    assert await ids(http, since=east) == [record.run.id]


async def test_pages_follow_each_other_newest_first(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    made = [(await world.run("greet", created_at=NOW - place * SECOND_US)).run.id for place in range(5)]
    first, second = await listed(http, limit=2), await listed(http, limit=2, offset=4)
    assert [row["metadata"]["id"] for row in first["rows"]] == made[:2]
    assert first["pagination"] == {"current_page": 1, "next_page": 2, "num_pages": 3}
    assert [row["metadata"]["id"] for row in second["rows"]] == made[4:]
    assert second["pagination"] == {"current_page": 3, "next_page": 3, "num_pages": 3}
    assert (await listed(http, limit=2, include_num_pages=False))["pagination"]["num_pages"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"only_tasks": "true"}, "since"),
        (SINCE, "only_tasks"),
        ({**SINCE, "only_tasks": "maybe"}, "only_tasks"),
        ({"since": "yesterday", "only_tasks": "true"}, "since"),
        ({**SINCE, "only_tasks": "true", "statuses": "DONE"}, "statuses.0"),
        ({**SINCE, "only_tasks": "true", "limit": "0"}, "limit"),
        ({**SINCE, "only_tasks": "true", "limit": "1001"}, "limit"),
        ({**SINCE, "only_tasks": "true", "offset": "-1"}, "offset"),
    ],
)
async def test_a_wrong_parameter_is_a_400_that_names_it(http: httpx.AsyncClient, query: dict[str, str], field: str) -> None:
    answer = await http.get(RUNS, params=query)
    assert answer.status_code == 400
    assert field in [each["field"] for each in answer.json()["errors"]]


async def test_a_metadata_filter_without_a_colon_is_a_400(http: httpx.AsyncClient) -> None:
    answer = await http.get(RUNS, params={**SINCE, "only_tasks": "true", "additional_metadata": "blue"})
    assert answer.status_code == 400
    assert "key:value" in answer.json()["errors"][0]["description"]


async def test_external_ids_is_a_bare_list_of_all_run_ids(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    made = [(await world.run("greet", created_at=NOW - place * SECOND_US)).run.id for place in range(3)]
    ended = await world.run("greet", TaskStatus.COMPLETED)
    path = f"{RUNS}/external-ids"
    assert set((await http.get(path, params=SINCE)).json()) == {*made, ended.run.id}
    assert (await http.get(path, params={**SINCE, "statuses": ["COMPLETED"]})).json() == [ended.run.id]


async def test_spawned_children_are_counted(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    parent = await world.run("greet", TaskStatus.RUNNING)
    for _ in range(3):
        await world.run("greet", parent_task_id=parent.tasks[0].id)
    rows = {row["metadata"]["id"]: row["numSpawnedChildren"] for row in (await listed(http))["rows"]}
    assert rows.pop(parent.run.id) == 3
    assert set(rows.values()) == {0}


# One run


async def test_W13_6_a_run_has_its_tasks_events_shape_and_configuration(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", *DAG)
    record = await world.run("Report", TaskStatus.COMPLETED, TaskStatus.COMPLETED, status=RunStatus.RUNNING)
    details = (await http.get(f"/api/v1/stable/workflow-runs/{record.run.id}")).json()
    assert details["run"]["status"] == "RUNNING"
    assert details["run"]["output"] == {"fetch": {"sum": 3}, "split": {"sum": 3}}
    assert details["run"]["tenantId"] == TENANT.id
    assert [each["taskExternalId"] for each in details["tasks"]] == [each.id for each in record.tasks]
    assert {each["eventType"] for each in details["taskEvents"]} == {
        "QUEUED",
        "ASSIGNED",
        "SENT_TO_WORKER",
        "STARTED",
        "FINISHED",
    }
    assert [each["id"] for each in details["taskEvents"]] == list(range(1, 11))
    assert details["workflowConfig"]["name"] == "Report"
    shape = {each["taskName"]: each for each in details["shape"]}
    assert shape["fetch"]["childrenStepIds"] == [shape["write"]["stepId"]]
    assert shape["fetch"]["taskExternalId"] == record.tasks[0].id
    assert shape["write"]["childrenStepIds"] == []
    assert shape["write"]["taskExternalId"] == "00000000-0000-0000-0000-000000000000"
    assert {each["stepId"] for each in details["tasks"]} == {shape["fetch"]["stepId"], shape["split"]["stepId"]}


async def test_OB_14_a_task_that_waits_for_its_conditions_says_what_for(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", *DAG)
    record = await world.run("Report", TaskStatus.PENDING, TaskStatus.PENDING, TaskStatus.QUEUED, status=RunStatus.RUNNING)
    one, two, three = (task.id for task in record.tasks)
    text = "It waits for its conditions: wait_for still needs event paid."
    world.explained = {
        one: Explanation(one, Outlook.NOT_NOW, Reason.CONDITION_UNMET, text),
        two: InternalError("it changed meanwhile"),
        three: AssertionError("it waits for no condition"),
    }
    details = (await http.get(f"/api/v1/stable/workflow-runs/{record.run.id}")).json()
    assert [each["waitsFor"] for each in details["tasks"]] == [text, None, None]
    assert (await http.get(f"/api/v1/stable/tasks/{one}")).json()["waitsFor"] == text


async def test_OB_14_only_so_many_tasks_of_a_run_are_asked_what_they_wait_for(world: World, http: httpx.AsyncClient) -> None:
    names = [f"t{number}" for number in range(AWAITED_TOLD_MAX + 1)]
    await world.workflow("Wide", *(task(name, "Wide") for name in names))
    record = await world.run("Wide", *[TaskStatus.PENDING] * len(names), status=RunStatus.RUNNING)
    found = (Explanation(one.id, Outlook.NOT_NOW, Reason.CONDITION_UNMET, "It waits.") for one in record.tasks)
    world.explained = {one.task_run_id: one for one in found}
    details = (await http.get(f"/api/v1/stable/workflow-runs/{record.run.id}")).json()
    assert [each["waitsFor"] for each in details["tasks"]] == [*["It waits."] * AWAITED_TOLD_MAX, None]


async def test_W6_4_the_errors_of_a_run_are_those_of_its_tasks(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", *DAG)
    one = await world.run("Report", TaskStatus.FAILED, TaskStatus.COMPLETED)
    two = await world.run("Report", TaskStatus.FAILED, TaskStatus.FAILED)
    errors = [
        (await http.get(f"/api/v1/stable/workflow-runs/{each.run.id}")).json()["run"]["errorMessage"] for each in (one, two)
    ]
    assert errors[0] == "ValueError: no such thing"
    assert errors[1] == "fetch: ValueError: no such thing\n\nsplit: ValueError: no such thing"


async def test_W4_8_a_skipped_task_says_so_in_the_output(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", *DAG)
    record = await world.run("Report", TaskStatus.COMPLETED, TaskStatus.SKIPPED)
    details = (await http.get(f"/api/v1/stable/workflow-runs/{record.run.id}")).json()
    assert details["run"]["output"] == {"fetch": {"sum": 3}, "split": {"skipped": True}}
    assert details["tasks"][1]["output"] == {"skipped": True}


async def test_a_live_task_has_started_when_its_receipt_came(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.ASSIGNED)
    path = f"/api/v1/stable/workflow-runs/{record.run.id}"
    assert (await http.get(path)).json()["tasks"][0]["startedAt"] is None
    world.receipts[record.run.id] = NOW - SECOND_US
    details = (await http.get(path)).json()
    assert datetime.fromisoformat(details["tasks"][0]["startedAt"]).timestamp() == NOW_S - 1
    assert "STARTED" in [each["eventType"] for each in details["taskEvents"]]


async def test_the_status_is_a_bare_text(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    record = await world.run("greet", TaskStatus.CANCELLED)
    answer = await http.get(f"/api/v1/stable/workflow-runs/{record.run.id}/status")
    assert answer.text == '"CANCELLED"'


async def test_the_events_of_a_run_are_there_by_themselves(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", *DAG)
    record = await world.run("Report", TaskStatus.QUEUED, TaskStatus.QUEUED)
    rows = (await http.get(f"/api/v1/stable/workflow-runs/{record.run.id}/task-events")).json()["rows"]
    assert [(row["taskId"], row["eventType"]) for row in rows] == [(each.id, "QUEUED") for each in record.tasks]


async def test_the_older_shape_has_outputs_as_json_text_by_readable_id(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("Report", *DAG, on_failure=task("mop-up", "Report"))
    record = await world.run("Report", TaskStatus.COMPLETED, TaskStatus.CANCELLED)
    path = f"/api/v1/tenants/{TENANT.id}/workflow-runs/{record.run.id}/shape"
    shape = (await http.get(path)).json()
    first, second = shape["jobRuns"]
    names = {step["metadata"]["id"]: step["readableId"] for step in first["job"]["steps"]}
    assert list(names.values()) == ["fetch", "split", "write"]
    outputs = {names[each["stepId"]]: (each["status"], each["output"]) for each in first["stepRuns"]}
    assert outputs == {"fetch": ("SUCCEEDED", '{"sum": 3}'), "split": ("CANCELLED", None)}
    assert [step["readableId"] for step in second["job"]["steps"]] == ["mop-up"]
    assert second["stepRuns"] == []
    assert shape["status"] == "CANCELLED"


@pytest.mark.parametrize("suffix", ["", "/status", "/task-events"])
@pytest.mark.parametrize("run", ["no-id", "01a0c450-6c00-7953-88f4-4348692302eb", "%00", "x" * 300])
async def test_an_unknown_run_is_a_404(http: httpx.AsyncClient, run: str, suffix: str) -> None:
    answer = await http.get(f"/api/v1/stable/workflow-runs/{run}{suffix}")
    assert answer.status_code == 404
    assert "not found" in answer.json()["errors"][0]["description"]


# Triggering


async def test_W8_11_a_trigger_hands_in_the_very_bytes_and_answers_the_whole_run(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    body = b'{"workflowName": "greet", "input": { "big" :123456789012345678901234567890,"f": 1.0}, "additionalMetadata": {"a":"b"}, "priority": 3}'
    answer = await http.post(f"{RUNS}/trigger", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    ((tenant, item),) = world.submitted
    assert tenant == TENANT.id
    assert isinstance(item, RunsTriggered)
    (trigger,) = item.items
    assert trigger.input == b'{ "big" :123456789012345678901234567890,"f": 1.0}'
    assert trigger.metadata == b'{"a":"b"}'
    assert (trigger.workflow_name, trigger.priority) == ("greet", 3)
    details = answer.json()
    assert details["run"]["status"] == "QUEUED"
    assert b'{ "big" :123456789012345678901234567890,"f": 1.0}' in answer.content
    assert len(details["tasks"]) == len(details["shape"]) == len(details["taskEvents"]) == 1


async def test_LB17_a_trigger_takes_desired_worker_labels(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    labels = {
        "region": {"value": "eu", "required": True},
        "memory": {"value": 8, "weight": 7, "comparator": "GREATER_THAN"},
        "age": {"value": 3, "comparator": 4},
    }
    await http.post(f"{RUNS}/trigger", json={"workflowName": "greet", "input": {}, "desiredWorkerLabels": labels})
    item = world.submitted[0][1]
    assert isinstance(item, RunsTriggered)
    assert item.items[0].desired_labels == (
        DesiredLabel("age", 3, comparator=Comparator.LESS_THAN),
        DesiredLabel("memory", 8, weight=7, comparator=Comparator.GREATER_THAN),
        DesiredLabel("region", "eu", required=True),
    )


BAD_BODIES = {
    "not JSON": b"{",
    "an array": b"[]",
    "empty": b"",
    "no name": b'{"input": {}}',
    "a name that is a number": b'{"workflowName": 1, "input": {}}',
    "input that is a list": b'{"workflowName": "greet", "input": [1]}',
    "input that is a text": b'{"workflowName": "greet", "input": "{}"}',
    "NaN": b'{"workflowName": "greet", "input": {"a": NaN}}',
    "a lone surrogate": b'{"workflowName": "greet", "input": {"a": "\\ud800"}}',
    "a NUL": b'{"workflowName": "greet", "input": {"a": "\\u0000"}}',
    "a NUL in the metadata": b'{"workflowName": "greet", "input": {}, "additionalMetadata": {"a": "\\u0000"}}',
    "no UTF-8": b'{"workflowName": "greet", "input": {"a": "\xff"}}',
    "a priority that is a text": b'{"workflowName": "greet", "input": {}, "priority": "high"}',
    "metadata of 65 KiB": b'{"workflowName": "greet", "input": {}, "additionalMetadata": {"a": "' + b"x" * 66_000 + b'"}}',
    "input of 3 MiB": b'{"workflowName": "greet", "input": {"a": "' + b"x" * 3_145_728 + b'"}}',
    "a comparator nobody knows": b'{"workflowName": "greet", "input": {}, "desiredWorkerLabels": {"a": {"value": 1, "comparator": "LIKE"}}}',
    "too deep": b'{"workflowName": "greet", "input": {"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_X16_a_bad_body_is_a_400_and_nothing_is_handed_in(world: World, http: httpx.AsyncClient, body: bytes) -> None:
    await world.workflow("greet")
    answer = await http.post(f"{RUNS}/trigger", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["description"]
    assert world.submitted == []


async def test_X16_a_backslash_before_u0000_is_no_NUL(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    body = b'{"workflowName": "greet", "input": {"a": "C:\\\\u0000"}}'
    answer = await http.post(f"{RUNS}/trigger", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["run"]["input"] == {"a": "C:\\u0000"}


async def test_W8_2_an_unknown_workflow_name_is_a_400(world: World, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{RUNS}/trigger", json={"workflowName": "nobody", "input": {}})
    assert answer.status_code == 400
    world.refusal = NotFound("workflow", "nobody")
    answer = await http.post(f"{RUNS}/trigger", json={"workflowName": "nobody", "input": {}})
    assert answer.status_code == 400
    assert "nobody" in answer.json()["errors"][0]["description"]


@pytest.mark.parametrize(
    ("refusal", "status"), [(EngineStopping("it stops"), 503), (LimitReached("too many"), 429), (NotSupported("no"), 501)]
)
async def test_R35_what_the_engine_refuses_keeps_its_words(
    world: World, http: httpx.AsyncClient, refusal: Exception, status: int
) -> None:
    world.refusal = refusal
    answer = await http.post(f"{RUNS}/trigger", json={"workflowName": "greet", "input": {}})
    assert answer.status_code == status
    assert answer.json() == {"errors": [{"code": status, "description": str(refusal)}]}


async def test_X24_a_bug_answers_a_reference_and_no_stack(
    world: World, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    world.refusal = RuntimeError("SELECT secret FROM /var/lib")
    answer = await http.post(f"{RUNS}/trigger", json={"workflowName": "greet", "input": {}})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    (record,) = [each for each in caplog.records if getattr(each, "event", "") == "http.broken"]
    assert record.reference in answer.text


async def test_another_tenants_runs_are_not_listed(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet", no=OTHER.no)
    await world.run("greet", no=OTHER.no)
    assert await ids(http) == []


async def test_W16_3_a_trigger_whose_key_is_held_is_a_conflict_that_names_the_holder(
    world: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.workflow("greet")

    async def taken(tenant: object, item: object) -> tuple[KeyTaken, ...]:
        return (KeyTaken("run-7"),)

    monkeypatch.setattr(world, "submit", taken)
    answer = await http.post(f"{RUNS}/trigger", json={"workflowName": "greet", "input": {}})
    assert answer.status_code == 409
    assert "run run-7 holds the key" in answer.json()["errors"][0]["description"]
