"""Runs to be started at instants, and crons in a registration, field by field."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from limpet.contracts import workflows_pb2 as wire
from limpet.contracts.admin_pb2 import CreateTaskOpts, CreateWorkflowVersionRequest
from limpet.core.ids import Instant
from limpet.core.inputs import WorkflowPut, WorkflowPutReply
from limpet.core.rows import VersionRow, WorkflowRow
from limpet.core.timetable_inputs import SchedulesCreated
from limpet.core.timetable_rows import ScheduleRow

from .conftest import MINE, Edge, status_of
from .fake_door import AT, TENANT, run_id

S = grpc.StatusCode
RUN, TASK = run_id(2), run_id(3)
STAMP = Timestamp(seconds=AT // 1_000_000)


def request(**fields: Any) -> wire.ScheduleWorkflowRequest:
    return wire.ScheduleWorkflowRequest(**{"name": "wf", "schedules": [STAMP], "additional_metadata": "{}", **fields})


def row(number: int, at: int) -> ScheduleRow:
    return ScheduleRow(number, run_id(number), 1, 7, at, b"{}", 2, b"{}", None, None, None, AT)


async def scheduled(edge: Edge, asked: wire.ScheduleWorkflowRequest) -> tuple[SchedulesCreated, wire.WorkflowVersion]:
    edge.door.replies[SchedulesCreated] = tuple(row(n, stamp.seconds * 1_000_000) for n, stamp in enumerate(asked.schedules))
    edge.door.reader.named = [WorkflowRow(7, "workflow", 1, "wf", AT, None)]
    edge.door.reader.version_rows = [VersionRow(8, "version", 1, 7, 3, b"", b"{}", AT)]
    answer = await edge.workflows.ScheduleWorkflow(asked, metadata=MINE)
    tenant, item = edge.door.submitted[-1]
    assert tenant == TENANT
    assert isinstance(item, SchedulesCreated)
    return item, answer


async def test_F7_1_every_field_arrives_and_ids_come_in_order(edge: Edge) -> None:
    later = Timestamp(seconds=STAMP.seconds + 60, nanos=5_000)
    item, answer = await scheduled(
        edge, request(schedules=[later, STAMP], input='{"a":1}', additional_metadata='{"m":"n"}', priority=3)
    )
    assert item == SchedulesCreated("wf", (Instant(AT + 60_000_005), Instant(AT)), b'{"a":1}', b'{"m":"n"}', 3)
    assert [one.id for one in answer.scheduled_workflows] == [run_id(0), run_id(1)]
    assert [one.trigger_at.seconds for one in answer.scheduled_workflows] == [later.seconds, STAMP.seconds]
    assert (answer.id, answer.workflow_id, answer.order) == ("version", "workflow", 3)


async def test_I5_a_request_id_names_each_run_the_same_in_every_repetition(edge: Edge) -> None:
    edge.door.replies[SchedulesCreated] = (row(0, AT), row(1, AT))
    edge.door.reader.named = [WorkflowRow(7, "workflow", 1, "wf", AT, None)]
    edge.door.reader.version_rows = [VersionRow(8, "version", 1, 7, 3, b"", b"{}", AT)]
    for request_id in ("one", "one", "two"):
        metadata = (*MINE, ("limpet-request-id", request_id))
        await edge.workflows.ScheduleWorkflow(request(schedules=[STAMP, STAMP]), metadata=metadata)
    first, again, other = (item.ids for _, item in edge.door.submitted if isinstance(item, SchedulesCreated))
    assert first == again
    assert len({*first, *other}) == 4
    code, details = await status_of(
        edge.workflows.ScheduleWorkflow(request(), metadata=(*MINE, ("limpet-request-id", "x" * 300)))
    )
    assert (code, "limpet-request-id" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_PR7_what_is_not_given_stays_open(edge: Edge) -> None:
    item, _ = await scheduled(edge, request())
    assert item == SchedulesCreated("wf", (Instant(AT),))


async def test_F7_7_a_child_names_its_parent(edge: Edge) -> None:
    item, _ = await scheduled(edge, request(parent_id=RUN, parent_task_run_external_id=TASK, child_index=0))
    assert (item.parent_run_id, item.parent_task_id) == (RUN, TASK)
    assert json.loads(item.metadata) == {"hatchet__parent_workflow_run_id": RUN, "hatchet__parent_step_run_id": TASK}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"parent_id": RUN}, "child_index must be given"), ({"parent_id": "x"}, "must be a valid UUID"), ({"name": ""}, "workflow name"),
        ({"schedules": [Timestamp(seconds=-1)]}, "1970 to 9999"), ({"input": "[]"}, "input must be a JSON object"),
        ({"additional_metadata": "x"}, "additional metadata"),
    ],
)  # fmt: skip
async def test_a_bad_field_is_named(edge: Edge, fields: dict[str, Any], text: str) -> None:
    code, details = await status_of(edge.workflows.ScheduleWorkflow(request(**fields), metadata=MINE))
    assert (code, text in details) == (S.INVALID_ARGUMENT, True), details
    assert not edge.door.submitted


async def test_F6_10_crons_and_their_input_are_part_of_a_registration(edge: Edge) -> None:
    edge.door.replies[WorkflowPut] = WorkflowPutReply("workflow", "version", True)
    only = CreateTaskOpts(readable_id="t", action="a:t")
    put = CreateWorkflowVersionRequest(name="wf", tasks=[only], cron_triggers=["@daily", "* * * * *"], cron_input='{"a":1}')
    await edge.admin.PutWorkflow(put, metadata=MINE)
    _, item = edge.door.submitted[-1]
    assert isinstance(item, WorkflowPut)
    assert (item.definition.crons, item.definition.cron_input) == (("@daily", "* * * * *"), b'{"a":1}')
    assert item.definition.undelivered == ()


async def test_a_cron_input_that_is_no_object_is_refused(edge: Edge) -> None:
    put = CreateWorkflowVersionRequest(name="wf", cron_triggers=["@daily"], cron_input="[]")
    code, details = await status_of(edge.admin.PutWorkflow(put, metadata=MINE))
    assert (code, "cron_input must be a JSON object" in details) == (S.INVALID_ARGUMENT, True)
