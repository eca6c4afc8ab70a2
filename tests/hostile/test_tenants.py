"""X-TENANT: every call that takes an id, with another tenant's id, answers as for an id that nobody has, and changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode as S

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import events_pb2 as events
from limpet.contracts import trigger_pb2 as triggers
from limpet.contracts import workflows_pb2 as workflows
from limpet.contracts.methods import METHODS

from .house import BY_PATH, THEIRS, House, Worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = "018f0000-0000-7000-8000-00000000dead"
Ask = Callable[[str], Message]


@dataclass
class Victim:
    """What the other tenant has: a worker, a run under way, one that waits, one that ended."""

    worker: Worker
    workflow: str
    workflow_id: str
    running: wire.AssignedAction
    waiting: str
    ended: str
    child: str

    @property
    def ids(self) -> dict[str, str]:
        return {
            "worker": self.worker.id, "workflow": self.workflow_id, "running": self.running.task_run_external_id,
            "waiting": self.waiting, "ended": self.ended,
        }  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module")
async def victim(house: House) -> AsyncIterator[Victim]:
    """Its world is the same afterwards, seen with its own token."""
    token, name = house.theirs, house.name("secret")
    await house.workflow(name, token=token)
    worker = await house.worker(name, token=token)
    ended = await house.trigger(name, token=token, input=b'{"secret": "canary"}')
    await worker.report(await worker.start(), wire.STEP_EVENT_TYPE_COMPLETED, b'{"secret": "canary"}')
    await house.trigger(name, token=token)
    running = await worker.start()
    await worker.report(running, wire.STEP_EVENT_TYPE_STARTED)
    await house.workflow("nobody-runs-this", token=token)
    waiting = await house.trigger("nobody-runs-this", token=token)
    child = await house.trigger("nobody-runs-this", token=token, **child_of(running))
    rows = (await house.rest("GET", f"/tenants/{THEIRS}/workflows", token=token)).json()["rows"]
    (workflow_id,) = [row["metadata"]["id"] for row in rows if row["name"] == name]
    one = Victim(worker, name, workflow_id, running, waiting, ended, child)
    before = await world_of(house, one)
    yield one
    assert await world_of(house, one) == before
    assert not worker.stream.done()
    await worker.report(running, wire.STEP_EVENT_TYPE_COMPLETED, b"{}")
    assert (await house.details(running.workflow_run_id, token=token)).status == admin.RunStatus.COMPLETED
    await worker.leave()


def child_of(start: wire.AssignedAction) -> dict[str, str]:
    """What makes a trigger a child of that task."""
    return {"parent_id": start.workflow_run_id, "parent_task_run_external_id": start.task_run_external_id, "child_key": "k"}


async def world_of(house: House, victim: Victim) -> list[Any]:
    """All that the other tenant sees of its own; times of last contact aside, so its worker beats before each look."""
    token = house.theirs
    await victim.worker.beat()
    paths = [f"/stable/workflow-runs/{run}" for run in (victim.running.workflow_run_id, victim.waiting, victim.ended)]
    paths += [f"/stable/tasks/{victim.running.task_run_external_id}/logs", f"/workflows/{victim.workflow_id}"]
    seen = [(await house.rest("GET", path, token=token)).json() for path in paths]
    worker = (await house.rest("GET", f"/workers/{victim.worker.id}", token=token)).json()
    return [*seen, worker["status"], worker.get("labels")]


SINCE = Timestamp(seconds=1)
LABELS = {"gpu": wire.WorkerLabels(int_value=1)}
# Every method that takes the id of something; reports of workers have a test of their own.
ASKS: dict[str, Ask] = {
    "/v1.AdminService/CancelTasks": lambda one: admin.CancelTasksRequest(external_ids=[one]),
    "/v1.AdminService/ReplayTasks": lambda one: admin.ReplayTasksRequest(external_ids=[one]),
    "/v1.AdminService/GetRunDetails": lambda one: admin.GetRunDetailsRequest(external_id=one),
    "/Dispatcher/ListenV2": lambda one: wire.WorkerListenRequest(worker_id=one),
    "/Dispatcher/Heartbeat": lambda one: wire.HeartbeatRequest(worker_id=one),
    "/Dispatcher/SubscribeToWorkflowEvents": lambda one: wire.SubscribeToWorkflowEventsRequest(workflow_run_id=one),
    "/Dispatcher/SubscribeToWorkflowRuns": lambda one: wire.SubscribeToWorkflowRunsRequest(workflow_run_id=one),
    "/Dispatcher/Unsubscribe": lambda one: wire.WorkerUnsubscribeRequest(worker_id=one),
    "/Dispatcher/RefreshTimeout": lambda one: wire.RefreshTimeoutRequest(task_run_external_id=one, increment_timeout_by="1h"),
    "/Dispatcher/ReleaseSlot": lambda one: wire.ReleaseSlotRequest(task_run_external_id=one),
    "/Dispatcher/UpsertWorkerLabels": lambda one: wire.UpsertWorkerLabelsRequest(worker_id=one, labels=LABELS),
    "/WorkflowService/PauseRateLimit": lambda one: workflows.PauseRateLimitRequest(key=one, paused_until=SINCE),
    "/EventsService/PutLog": lambda one: events.PutLogRequest(task_run_external_id=one, message=b"mine now"),
    "/EventsService/PutStreamEvent": lambda one: events.PutStreamEventRequest(task_run_external_id=one, message=b"mine now"),
}
REPORTS = {"/Dispatcher/SendStepActionEvent"}
CREATES = {
    "/Dispatcher/Register",
    "/v1.AdminService/PutWorkflow",
    "/Dispatcher/GetVersion",
    "/WorkflowService/PutRateLimit",
    "/EventsService/Push",
    "/EventsService/BulkPush",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}
OWN_WORDS = {"/EventsService/ReplaySingleEvent": "events cannot be replayed"}  # never carried out, and said so
TRIGGERS = {
    "/WorkflowService/TriggerWorkflow",
    "/WorkflowService/BulkTriggerWorkflow",
    "/WorkflowService/ScheduleWorkflow",
    "/v1.AdminService/TriggerWorkflowRun",
}


async def outcome(house: House, path: str, one: str) -> tuple[Any, ...]:
    """Everything that the caller can tell apart, with the id itself taken out."""
    call = house.open(path, ASKS[path](one))
    messages: list[str] = []
    with contextlib.suppress(grpc.aio.AioRpcError):
        if BY_PATH[path].server_streams:
            messages += [shown(message, one) async for message in call]
        else:
            messages += [shown(await call, one)]
    return await call.code(), (await call.details() or "").replace(one, "ID"), messages


def shown(message: Message, one: str) -> str:
    """The message as text, without the time and the id."""
    if "event_timestamp" in message.DESCRIPTOR.fields_by_name:
        message.ClearField("event_timestamp")
    return str(message).replace(one, "ID")


@pytest.mark.parametrize("path", ASKS)
async def test_X_TENANT_another_tenants_id_answers_like_an_id_of_nobody(house: House, victim: Victim, path: str) -> None:
    unknown = await outcome(house, path, NOBODY)
    answers = await asyncio.gather(*(outcome(house, path, one) for one in victim.ids.values()))
    for kind, answer in zip(victim.ids, answers, strict=True):
        assert answer == unknown, kind
    assert unknown[0] in (S.OK, S.NOT_FOUND)
    assert "canary" not in str(unknown)


async def test_X_TENANT_no_method_that_takes_an_id_is_left_out(house: House) -> None:
    """What is carried out is in one of the tables above; what is not, says so."""
    for method in METHODS:
        if method.path not in ASKS.keys() | REPORTS | CREATES | TRIGGERS:
            code, says = await house.status(method.path, b"")
            assert code is S.UNIMPLEMENTED, method.path
            assert OWN_WORDS.get(method.path, f"{method.path} is not carried out by this engine yet") in says


async def test_X_TENANT_a_filter_finds_only_our_own(house: House, victim: Victim) -> None:
    wanted = admin.TasksFilter(since=SINCE, workflow_ids=[victim.workflow_id])
    for path, message in (
        ("/v1.AdminService/CancelTasks", admin.CancelTasksRequest(filter=wanted)),
        ("/v1.AdminService/ReplayTasks", admin.ReplayTasksRequest(filter=wanted)),
    ):
        answer = await house.call(path, message)
        assert not (list(getattr(answer, "cancelled_tasks", [])) + list(getattr(answer, "replayed_tasks", [])))
    everything = await house.rest(
        "GET", "/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&limit=1000"
    )
    text = everything.text
    assert not [one for one in victim.ids.values() if one in text]
    assert "canary" not in text


async def test_X_TENANT_a_workflow_of_another_tenant_cannot_be_triggered(house: House, victim: Victim) -> None:
    for path, message in (
        ("/WorkflowService/TriggerWorkflow", triggers.TriggerWorkflowRequest(name=victim.workflow)),
        ("/v1.AdminService/TriggerWorkflowRun", admin.TriggerWorkflowRunRequest(workflow_name=victim.workflow)),
        (
            "/WorkflowService/BulkTriggerWorkflow",
            workflows.BulkTriggerWorkflowRequest(workflows=[triggers.TriggerWorkflowRequest(name=victim.workflow)]),
        ),
    ):
        code, says = await house.status(path, message)
        assert code is S.INVALID_ARGUMENT
        assert says.startswith(f"workflow names not found: {victim.workflow}")


async def test_X_TENANT_another_tenants_run_as_parent_and_its_worker_as_wish_mean_nothing(house: House, victim: Victim) -> None:
    """A child key under their task meets none of their children, and their worker gets none of our work."""
    name = await house.workflow(house.name("child"))
    ours = await house.trigger(name, **child_of(victim.running), desired_worker_id=victim.worker.id)
    assert ours != victim.child
    worker = await house.worker(name)
    start = await worker.start()
    assert start.workflow_run_id == ours, "their worker is nobody to us, so the wish of a run without sticky strategy is void"
    await worker.report(start, wire.STEP_EVENT_TYPE_COMPLETED)
    await worker.leave()


async def test_R24_S1_reports_about_another_tenants_runs_are_OK_without_effect_and_counted(house: House, victim: Victim) -> None:
    running = victim.running
    before = await house.counted("limpet_stale_reports_total")
    kinds = (
        wire.STEP_EVENT_TYPE_STARTED,
        wire.STEP_EVENT_TYPE_COMPLETED,
        wire.STEP_EVENT_TYPE_FAILED,
        wire.STEP_EVENT_TYPE_CANCELLED,
    )
    for one in (running.task_run_external_id, victim.waiting, victim.ended, NOBODY):
        for kind in kinds:
            for worker_id in (victim.worker.id, "", "some name"):
                event = wire.StepActionEvent(
                    worker_id=worker_id, task_run_external_id=one, retry_count=0, event_type=kind, event_payload=b'{"x": 1}'
                )
                answer = await house.call("/Dispatcher/SendStepActionEvent", event)
                assert str(answer) == str(wire.ActionEventResponse(tenant_id=answer.tenant_id, worker_id=worker_id))
    assert await house.counted("limpet_stale_reports_total") - before == 4 * 4 * 3


async def test_X_TENANT_every_route_with_an_id_answers_for_theirs_as_for_nobodys(house: House, victim: Victim) -> None:
    described = (await house.rest("GET", "/openapi.json")).json()["paths"]
    tried = 0
    for path, verbs in described.items():
        short = path.removeprefix("/api").removeprefix("/v1")
        names = [part[1:-1] for part in short.split("/") if part.startswith("{") and part != "{tenant}"]
        if not names or short.endswith(
            ("/{workflow}/crons", "/{workflow}/scheduled")
        ):  # there it is a name, and 400 when unknown
            continue
        for verb in verbs:
            for one in victim.ids.values():
                theirs = await answer_of(house, verb, short, one)
                nobodys = await answer_of(house, verb, short, NOBODY)
                assert theirs == nobodys, (verb, path)
                assert theirs[0] == 404, (verb, path, theirs)
                tried += 1
    assert tried >= 60
    for verb in ("cancel", "replay"):
        for one in (*victim.ids.values(), NOBODY):
            answer = await house.rest("POST", f"/stable/tenants/{{tenant}}/tasks/{verb}", {"externalIds": [one]})
            assert (answer.status_code, answer.json()["ids"] or []) == (200, [])


async def answer_of(house: House, verb: str, path: str, one: str) -> tuple[int, str]:
    """Status and text of an answer, the id taken out."""
    for name in ("task", "run", "worker", "workflow", "key", "cron", "scheduled"):
        path = path.replace("{" + name + "}", one).replace("{" + name + ":path}", one)
    change = {"isPaused": True, "enabled": True, "triggerAt": "2030-01-01T00:00:00Z"}
    answer = await house.rest(verb.upper(), path, change if verb == "patch" else None)
    return answer.status_code, answer.text.replace(one, "ID")
