"""Requests that no engine should carry out: each gets the right code and a sentence that names the fault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from grpc import StatusCode as S

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import trigger_pb2 as triggers
from limpet.contracts import workflows_pb2 as workflows

from .house import House, sentences, task

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUT, TRIGGER, BULK = "/v1.AdminService/PutWorkflow", "/WorkflowService/TriggerWorkflow", "/WorkflowService/BulkTriggerWorkflow"
TRIGGER_RUN = "/v1.AdminService/TriggerWorkflowRun"
NO_ID = "not-an-id"
Trigger, Label = triggers.TriggerWorkflowRequest, triggers.DesiredWorkerLabels
GREATER = triggers.GREATER_THAN
NINE: Any = 9  # a comparator of no version

UNFIT_TRIGGERS: dict[str, tuple[dict[str, Any], S, str]] = {
    "priority 0": ({"priority": 0}, S.INVALID_ARGUMENT, "priority must be between 1 and 3, got 0"),
    "priority 4": ({"priority": 4}, S.INVALID_ARGUMENT, "priority must be between 1 and 3, got 4"),
    "parent run": ({"parent_id": NO_ID}, S.INVALID_ARGUMENT, "parent_id must be a valid UUID, got 'not-an-id'"),
    "parent task": ({"parent_task_run_external_id": NO_ID}, S.INVALID_ARGUMENT, "parent_task_run_external_id must be a valid UUID"),
    "desired worker": ({"desired_worker_id": NO_ID}, S.INVALID_ARGUMENT, "desiredWorkerId must be a valid UUID"),
    "label without value": ({"desired_worker_labels": {"gpu": Label()}}, S.INVALID_ARGUMENT, "label gpu needs exactly one value"),
    "label with two values": (
        {"desired_worker_labels": {"gpu": Label(str_value="a", int_value=1)}}, S.INVALID_ARGUMENT, "label gpu needs exactly one value",
    ),
    "order of texts": (
        {"desired_worker_labels": {"gpu": Label(str_value="a", required=True, comparator=GREATER)}},
        S.INVALID_ARGUMENT, "compares texts by order and can never match",
    ),
    "comparator 9": (
        {"desired_worker_labels": {"gpu": Label(int_value=1, comparator=NINE)}}, S.INVALID_ARGUMENT, "comparator 9 is unknown; use 0 to 5",
    ),
    "101 labels": (
        {"desired_worker_labels": {f"k{n}": Label(int_value=n) for n in range(101)}}, S.RESOURCE_EXHAUSTED, "at most 100 labels",
    ),
    "key of 256 bytes": ({"desired_worker_labels": {"k" * 256: Label(int_value=1)}}, S.INVALID_ARGUMENT, "1 to 255 bytes"),
}  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module")
async def good(house: House) -> AsyncIterator[str]:
    """A workflow; whatever is refused creates no run of it."""
    name, before = await house.workflow("good"), await house.run_count()
    yield name
    assert await house.run_count() == before


@pytest.mark.parametrize("case", UNFIT_TRIGGERS)
async def test_I4_an_unfit_trigger_is_refused_with_its_fault_alone_and_in_a_bulk(house: House, good: str, case: str) -> None:
    fields, code, says = UNFIT_TRIGGERS[case]
    alone = await house.status(TRIGGER, Trigger(name=good, **fields))
    assert alone[0] is code, alone
    assert says in alone[1]
    items = [Trigger(name=good), Trigger(name=good, **fields), Trigger(name=good)]
    in_bulk = await house.status(BULK, workflows.BulkTriggerWorkflowRequest(workflows=items))
    assert in_bulk[0] is code, in_bulk
    assert says in in_bulk[1]


async def test_W8_2_unknown_workflows_are_named_with_what_to_do(house: House) -> None:
    for path, message in (
        (TRIGGER, Trigger(name="nobody")),
        (BULK, workflows.BulkTriggerWorkflowRequest(workflows=[Trigger(name="nobody")])),
        (TRIGGER_RUN, admin.TriggerWorkflowRunRequest(workflow_name="nobody")),
    ):
        code, says = await house.status(path, message)
        assert code is S.INVALID_ARGUMENT
        assert says == "workflow names not found: nobody; start a worker that registers them, or check the spelling"


async def test_a_refusal_fits_the_head_of_an_answer_however_much_there_is_to_say(house: House, good: str) -> None:
    """A client takes 8 KiB of trailing metadata; over it, it sees a code of its own making instead of ours."""
    many = [Trigger(name=f"nobody-{n}-" + "é" * 100) for n in range(1000)]
    code, says = await house.status(BULK, workflows.BulkTriggerWorkflowRequest(workflows=many))
    assert code is S.INVALID_ARGUMENT
    assert says.startswith("workflow names not found: nobody-0-")
    assert says.endswith("…")
    huge = "x" * (1024 * 1024)
    for path, message in (
        ("/v1.AdminService/GetRunDetails", admin.GetRunDetailsRequest(external_id=huge)),
        ("/Dispatcher/Heartbeat", wire.HeartbeatRequest(worker_id=huge)),
        ("/Dispatcher/ListenV2", wire.WorkerListenRequest(worker_id=huge)),
        ("/Dispatcher/ReleaseSlot", wire.ReleaseSlotRequest(task_run_external_id=huge)),
    ):
        code, says = await house.status(path, message)
        assert (path, code) == (path, S.NOT_FOUND)
        assert "not found" in says or says.endswith("…")


async def test_X15_a_bulk_has_a_thousand_items_at_most(house: House, good: str) -> None:
    code, says = await house.status(BULK, workflows.BulkTriggerWorkflowRequest(workflows=[Trigger(name=good)] * 1001))
    assert code is S.RESOURCE_EXHAUSTED
    assert "at most 1000 items (bulk_items_max), got 1001" in says


async def test_X15_a_bulk_of_a_thousand_items_is_taken(house: House) -> None:
    name = await house.workflow("taken")
    answer = await house.call(BULK, workflows.BulkTriggerWorkflowRequest(workflows=[Trigger(name=name)] * 1000))
    assert len(set(answer.workflow_run_ids)) == 1000


UNFIT_DEFINITIONS: dict[str, tuple[dict[str, Any], S, str]] = {
    "no task": ({}, S.INVALID_ARGUMENT, "has no task; declare at least one"),
    "a name with a slash": ({"name": "a/b", "tasks": [task("a")]}, S.INVALID_ARGUMENT, "workflow name 'a/b' is not usable"),
    "a name of 256 bytes": ({"name": "n" * 256, "tasks": [task("a")]}, S.INVALID_ARGUMENT, "1 to 255 letters"),
    "two tasks of one name": ({"tasks": [task("a"), task("a")]}, S.INVALID_ARGUMENT, "these occur twice: a"),
    "an unknown parent": ({"tasks": [task("a", parents=["ghost"])]}, S.INVALID_ARGUMENT, "task a: parent ghost does not exist"),
    "a cycle": (
        {"tasks": [task("a", parents=["b"]), task("b", parents=["a"]), task("c")]},
        S.INVALID_ARGUMENT, "these tasks wait for each other in a cycle: a, b",
    ),
    "its own parent": ({"tasks": [task("a", parents=["a"])]}, S.INVALID_ARGUMENT, "in a cycle: a"),
    "1,001 tasks": ({"tasks": [task(f"t{n}") for n in range(1001)]}, S.RESOURCE_EXHAUSTED, "at most 1000 (dag_tasks_max)"),
    "a negative duration": ({"tasks": [task("a", timeout="-1s")]}, S.INVALID_ARGUMENT, "task a: timeout '-1s' is not usable"),
    "a unit unknown": ({"tasks": [task("a", schedule_timeout="1d")]}, S.INVALID_ARGUMENT, "task a: schedule timeout '1d'"),
    "a duration of ages": ({"tasks": [task("a", timeout="9" * 30 + "h")]}, S.INVALID_ARGUMENT, "is too long"),
    "no action": ({"tasks": [task("a", action="")]}, S.INVALID_ARGUMENT, "the action id must have"),
    "negative retries": ({"tasks": [task("a", retries=-1)]}, S.INVALID_ARGUMENT, "retries must be 0 or more, got -1"),
    "a factor that is no number": (
        {"tasks": [task("a", backoff_factor=float("nan"))]}, S.INVALID_ARGUMENT, "backoff factor must be a number between 1 and 1000",
    ),
    "no slots at all": ({"tasks": [task("a", slot_requests={"default": 0})]}, S.INVALID_ARGUMENT, "task a: a slot request needs"),
    "priority 4": ({"tasks": [task("a")], "default_priority": 4}, S.INVALID_ARGUMENT, "default priority must be between 1 and 3"),
    "a strategy unknown": ({"tasks": [task("a")], "sticky": 7}, S.INVALID_ARGUMENT, "sticky 7 is unknown; use 0 (SOFT), 1 (HARD)"),
    "a label of no type": ({"tasks": [task("a", worker_labels={"gpu": Label()})]}, S.INVALID_ARGUMENT, "label gpu needs exactly one"),
    "an order of texts": (
        {"tasks": [task("a", worker_labels={"gpu": Label(str_value="x", required=True, comparator=GREATER)})]},
        S.INVALID_ARGUMENT, "task a: required label gpu",
    ),
    "a schema that is no JSON": ({"tasks": [task("a")], "input_json_schema": b"{"}, S.INVALID_ARGUMENT, "input_json_schema is not"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT_DEFINITIONS)
async def test_W2_13_an_unfit_definition_is_refused_with_its_place(house: House, case: str) -> None:
    fields, code, says = UNFIT_DEFINITIONS[case]
    refused = await house.status(PUT, admin.CreateWorkflowVersionRequest(**({"name": "bad"} | fields)))
    assert refused[0] is code, refused
    assert says in refused[1]
    listed = await house.rest("GET", "/tenants/{tenant}/workflows")
    assert "bad" not in [row["name"] for row in listed.json()["rows"] or ()], "a refused definition leaves nothing behind"


async def test_a_registration_cannot_fill_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The sentences about what is not carried out are for people: a thousand of them help nobody."""
    batch = admin.TaskBatchConfig(batch_max_size=2)
    tasks = [task(f"t{n}", batch=batch, is_durable=True) for n in range(1000)]
    await house.workflow("chatty", *tasks)
    said = [record.getMessage() for record in caplog.records if "chatty" in record.getMessage()]
    assert 1 <= len(said) <= 50
    assert any("declares 1980 more features" in line for line in said)


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"worker_name": ""}, S.INVALID_ARGUMENT, "worker name '' is not usable"),
        ({"actions": ["a" * 1000]}, S.INVALID_ARGUMENT, "action id"),
        ({"slots": -1}, S.INVALID_ARGUMENT, "slot type 'default' with -1 units"),
        ({"slots": 1, "slot_config": {"default": 1}}, S.INVALID_ARGUMENT, "give either slots or slot_config, not both"),
        ({"labels": {"gpu": wire.WorkerLabels()}}, S.INVALID_ARGUMENT, "label gpu needs exactly one value"),
        ({"labels": {f"k{n}": wire.WorkerLabels(int_value=n) for n in range(101)}}, S.RESOURCE_EXHAUSTED, "at most 100 labels"),
    ],
)
async def test_an_unfit_worker_is_refused(house: House, fields: dict[str, Any], code: S, says: str) -> None:
    request = wire.WorkerRegisterRequest(**({"worker_name": "unfit", "actions": ["a"]} | fields))
    refused = await house.status("/Dispatcher/Register", request)
    assert refused[0] is code, refused
    assert says in refused[1]
    listed = await house.rest("GET", "/tenants/{tenant}/worker")
    assert "unfit" not in [row["name"] for row in listed.json()["rows"] or ()]


async def test_labels_added_bit_by_bit_meet_the_same_bound(house: House) -> None:
    worker = await house.worker("a")
    for start in (0, 50):
        labels = {f"k{n}": wire.WorkerLabels(int_value=n) for n in range(start, start + 50)}
        await house.call("/Dispatcher/UpsertWorkerLabels", wire.UpsertWorkerLabelsRequest(worker_id=worker.id, labels=labels))
    more = wire.UpsertWorkerLabelsRequest(worker_id=worker.id, labels={"one-more": wire.WorkerLabels(int_value=1)})
    code, says = await house.status("/Dispatcher/UpsertWorkerLabels", more)
    assert code is S.RESOURCE_EXHAUSTED
    assert "at most 100 labels" in says
    await worker.leave()


@pytest.mark.parametrize("path", ["/v1.AdminService/CancelTasks", "/v1.AdminService/ReplayTasks"])
async def test_W12_8_cancel_and_replay_refuse_what_names_nothing(house: House, path: str) -> None:
    kind = {"/v1.AdminService/CancelTasks": admin.CancelTasksRequest, "/v1.AdminService/ReplayTasks": admin.ReplayTasksRequest}[
        path
    ]
    for message, says in (
        (kind(), "give either external_ids or a filter"),
        (kind(external_ids=[NO_ID]), "id 'not-an-id' must be a valid UUID"),
        (kind(filter=admin.TasksFilter()), "the filter needs since"),
        (kind(external_ids=["0" * 36] * 20_001), "at most 20000 ids"),
    ):
        code, heard = await house.status(path, message)
        assert code is S.INVALID_ARGUMENT
        assert says in heard


UNFIT_BODIES: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "not usable"),
    "an array": (b"[]", "Expected `object`"),
    "null": (b"null", "Expected `object`"),
    "bytes that are no text": (b'{"workflowName": "\xff"}', "not usable"),
    "no name": (b"{}", "workflowName"),
    "a name of a megabyte": ({"workflowName": "n" * 1_000_000}, "Expected `str` of length <= 255 - at `$.workflowName`"),
    "an unknown name": ({"workflowName": "nobody", "input": {}}, "workflow names not found: nobody"),
    "priority 0": ({"workflowName": "good", "priority": 0}, "priority must be between 1 and 3, got 0"),
    "priority 4": ({"workflowName": "good", "priority": 4}, "priority must be between 1 and 3, got 4"),
    "a priority in words": ({"workflowName": "good", "priority": "high"}, "priority"),
    "input null in a list": ({"workflowName": "good", "input": [None]}, "input must be a JSON object, got an array"),
    "input of NaN": (b'{"workflowName": "good", "input": {"a": NaN}}', "not usable"),
    "metadata a text": ({"workflowName": "good", "additionalMetadata": "x"}, "additionalMetadata must be a JSON object"),
    "a lone surrogate": (b'{"workflowName": "good", "input": {"a": "\\ud800"}}', "not usable"),
    "NUL": (b'{"workflowName": "good", "input": {"a": "\\u0000"}}', "NUL"),
    "10,000 levels": (b'{"workflowName": "good", "input": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}", "nested too deeply"),
    "a comparator unknown": (
        {"workflowName": "good", "desiredWorkerLabels": {"gpu": {"value": 1, "comparator": "LIKE"}}}, "comparator 'LIKE'",
    ),
    "a label of a wrong type": ({"workflowName": "good", "desiredWorkerLabels": {"gpu": {"value": []}}}, "not usable"),
    "a label value beyond the wire": ({"workflowName": "good", "desiredWorkerLabels": {"gpu": {"value": 10**30}}}, "Expected `int` <= 2147483647"),
    "a weight beyond the wire": ({"workflowName": "good", "desiredWorkerLabels": {"gpu": {"value": 1, "weight": 10**30}}}, "Expected `int` <= 2147483647 - at `$.desiredWorkerLabels[...].weight`"),
    "a label value too long": ({"workflowName": "good", "desiredWorkerLabels": {"gpu": {"value": "x" * 256}}}, "Expected `str` of length <= 255"),
    "a label key too long": ({"workflowName": "good", "desiredWorkerLabels": {"k" * 256: {"value": 1}}}, "Expected `str` of length <= 255"),
    "a label key with NUL": ({"workflowName": "good", "desiredWorkerLabels": {"a\0b": {"value": 1}}}, "not usable"),
    "an order of texts": (
        {"workflowName": "good", "desiredWorkerLabels": {"gpu": {"value": "a", "required": True, "comparator": "GREATER_THAN"}}},
        "compares texts by order",
    ),
}  # fmt: skip


async def test_X16_an_unfit_body_is_a_400_that_names_the_fault_and_creates_nothing(house: House, good: str) -> None:
    for case, (body, says) in UNFIT_BODIES.items():
        answer = await house.trigger_by_rest(body)
        assert (case, answer.status_code) == (case, 400), answer.text[:300]
        assert says in sentences(answer), case
        assert len(answer.content) < 5_000, "a refusal does not echo megabytes"


async def test_X15_too_many_labels_over_http(house: House, good: str) -> None:
    labels = {f"k{n}": {"value": n} for n in range(101)}
    answer = await house.trigger_by_rest({"workflowName": good, "desiredWorkerLabels": labels})
    assert answer.status_code == 429
    assert "100 " in sentences(answer)


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/stable/tasks/not-an-id", 404),
        ("GET", "/stable/tasks/%00", 404),
        ("GET", "/stable/tasks/..%2F..%2Fetc%2Fpasswd", 404),
        ("GET", "/stable/workflow-runs/%ED%A0%80", 404),
        ("GET", "/workflows/' OR 1=1 --", 404),
        ("GET", "/workers/\u202e", 404),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&limit=-1", 400),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&offset=99999999999999999999", 400),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=nonsense&only_tasks=false", 400),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=true&additional_metadata=nocolon", 400),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=true&statuses=DROP", 400),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=0001-01-01T00:00:00Z&only_tasks=false", 200),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=9999-12-31T23:59:59Z&only_tasks=false", 200),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&worker_id=%00", 200),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&additional_metadata=a:%00", 200),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&additional_metadata=%ED%A0%80:x", 200),
        ("GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&workflow_ids=');DROP TABLE runs;--", 200),
        ("GET", "/tenants/{tenant}/workflows?name=%00&limit=1", 200),
        ("POST", "/stable/tenants/{tenant}/tasks/cancel", 400),
        ("PATCH", "/workers/not-an-id", 400),
        ("DELETE", "/workers/not-an-id/labels/%00", 404),
        ("TRACE", "/stable/tasks/x", 405),
    ],
)  # fmt: skip
async def test_X_SQLI_strange_paths_and_filters_get_clean_answers(house: House, verb: str, path: str, status: int) -> None:
    await house.workflow("good")
    run_id = await house.trigger("good")
    answer = await house.rest(verb, path)
    assert answer.status_code == status, answer.text[:300]
    if status >= 400 and answer.headers.get("content-type", "").startswith("application/json"):
        assert sentences(answer)
    assert (await house.details(run_id)).done is False, "nothing was dropped"


async def test_bulk_calls_over_http_refuse_what_names_nothing(house: House) -> None:
    for verb in ("cancel", "replay"):
        for body, says in (
            ({}, "needs either externalIds or filter"),
            ({"externalIds": [NO_ID]}, "externalIds[0] is 'not-an-id', which is no UUID"),
            ({"filter": {}}, "since"),
            ({"externalIds": "all"}, "not usable"),
        ):
            answer = await house.rest("POST", f"/stable/tenants/{{tenant}}/tasks/{verb}", body)
            assert answer.status_code == 400
            assert says in sentences(answer)
