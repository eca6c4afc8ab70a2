"""Run details, cancelling and replaying."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from limpet.contracts import admin_pb2 as wire
from limpet.core.inputs import CancelRequested, ReplayRequested
from limpet.core.rows import RunStatus, TaskRow, TaskStatus
from limpet.edges.trace_context import traced
from limpet.store.api import TransientStoreError

from .conftest import MINE, THEIRS, Edge, status_of
from .fake_door import AT, TENANT, run_id, run_record, task_row

S = grpc.StatusCode
R = wire.RunStatus
MIB = 1024 * 1024


async def details(edge: Edge, number: int) -> wire.GetRunDetailsResponse:
    reply = await edge.admin.GetRunDetails(wire.GetRunDetailsRequest(external_id=run_id(number)), metadata=MINE)
    assert isinstance(reply, wire.GetRunDetailsResponse)
    return reply


class TestRunDetails:
    async def test_W13_5_a_mixed_final_run(self, edge: Edge) -> None:
        names = ("ok", "bad", "stopped", "skipped", "silent")
        tasks = [
            task_row(2, 0, TaskStatus.COMPLETED, output=b'{"x":1}'),
            task_row(3, 1, TaskStatus.FAILED, error="E: x", output=b""),
            task_row(4, 2, TaskStatus.CANCELLED, error="cancelled by user"),
            task_row(5, 3, TaskStatus.SKIPPED, output=b'{"skipped":true}'),
            task_row(6, 4, TaskStatus.COMPLETED, output=b""),
        ]
        edge.door.reader.add(run_record(1, RunStatus.FAILED, tasks, names, metadata=b'{"m":"1"}'))
        reply = await details(edge, 1)
        assert (reply.status, reply.done, reply.is_evicted) == (R.FAILED, True, False)
        assert (reply.input, reply.additional_metadata) == (b'{"a":1}', traced(b'{"m":"1"}', run_id(1)))
        shown = {
            name: (one.external_id, one.readable_id, one.status, one.output if one.HasField("output") else None, one.error if one.HasField("error") else None)
            for name, one in reply.task_runs.items()
        }  # fmt: skip
        assert shown == {
            "ok": (run_id(2), "ok", R.COMPLETED, b'{"x":1}', None),
            "bad": (run_id(3), "bad", R.FAILED, None, "E: x"),
            "stopped": (run_id(4), "stopped", R.CANCELLED, None, None),
            "skipped": (run_id(5), "skipped", R.COMPLETED, b'{"skipped": true}', None),
            "silent": (run_id(6), "silent", R.COMPLETED, None, None),
        }

    @pytest.mark.parametrize(
        ("tasks", "stored", "shown"),
        [
            ([task_row(2, 0, TaskStatus.QUEUED), task_row(3, 1, TaskStatus.QUEUED)], RunStatus.QUEUED, R.QUEUED),
            ([task_row(2, 0, TaskStatus.ASSIGNED), task_row(3, 1, TaskStatus.QUEUED)], RunStatus.QUEUED, R.RUNNING),
            ([task_row(2, 0, TaskStatus.COMPLETED)], RunStatus.QUEUED, R.RUNNING),
            ([task_row(2, 0, TaskStatus.FAILED), task_row(3, 1, TaskStatus.QUEUED)], RunStatus.RUNNING, R.RUNNING),
            ([task_row(2, 0, TaskStatus.BACKING_OFF), task_row(3, 1, TaskStatus.QUEUED)], RunStatus.QUEUED, R.RUNNING),
            ([task_row(2, 0, TaskStatus.PENDING), task_row(3, 1, TaskStatus.QUEUED)], RunStatus.QUEUED, R.QUEUED),
        ],
        ids=["all queued", "one assigned", "gap after the first", "failed meanwhile", "backing off", "replayed"],
    )
    async def test_W13_4_a_graph_is_running_from_its_first_start_to_its_end(
        self, edge: Edge, tasks: list[TaskRow], stored: RunStatus, shown: int
    ) -> None:
        edge.door.reader.add(run_record(1, stored, tasks))
        reply = await details(edge, 1)
        assert (reply.status, reply.done) == (shown, False)

    @pytest.mark.parametrize(
        ("task", "shown"),
        [
            (TaskStatus.QUEUED, R.QUEUED),
            (TaskStatus.BACKING_OFF, R.QUEUED),
            (TaskStatus.ASSIGNED, R.RUNNING),
            (TaskStatus.PENDING, R.QUEUED),
        ],
    )
    async def test_OB5_a_run_of_one_task_stands_as_its_task(self, edge: Edge, task: TaskStatus, shown: int) -> None:
        edge.door.reader.add(run_record(1, RunStatus.RUNNING, [task_row(1, 0, task)], ("t",)))
        reply = await details(edge, 1)
        assert (reply.status, reply.task_runs["t"].status, reply.done) == (shown, shown, False)

    async def test_W13_4_a_receipt_in_memory_counts_as_a_start(self, edge: Edge) -> None:
        edge.door.reader.add(
            run_record(1, RunStatus.QUEUED, [task_row(2, 0, TaskStatus.ASSIGNED), task_row(3, 1, TaskStatus.QUEUED)])
        )
        edge.door.receipts[run_id(2)] = AT
        assert (await details(edge, 1)).status == R.RUNNING

    @pytest.mark.parametrize("external_id", [run_id(1), "nonsense", ""])
    async def test_W13_6_unknown_runs(self, edge: Edge, external_id: str) -> None:
        call = edge.admin.GetRunDetails(wire.GetRunDetailsRequest(external_id=external_id), metadata=MINE)
        code, text = await status_of(call)
        assert (code, "workflow run" in text) == (S.NOT_FOUND, True)

    async def test_XTENANT_another_tenants_run_looks_unknown(self, edge: Edge) -> None:
        edge.door.reader.add(run_record(1, RunStatus.COMPLETED, []))
        theirs = await status_of(edge.admin.GetRunDetails(wire.GetRunDetailsRequest(external_id=run_id(1)), metadata=THEIRS))
        unknown = await status_of(edge.admin.GetRunDetails(wire.GetRunDetailsRequest(external_id=run_id(1)), metadata=THEIRS))
        assert theirs == unknown
        assert theirs[0] is S.NOT_FOUND

    async def test_R35_a_store_that_cannot_be_read_is_unavailable(self, edge: Edge) -> None:
        edge.door.reader.failure = TransientStoreError("locked")
        assert (await status_of(edge.admin.GetRunDetails(wire.GetRunDetailsRequest(external_id=run_id(1)), metadata=MINE)))[
            0
        ] is S.UNAVAILABLE

    async def test_X26_details_beyond_the_message_limit_leave_out_the_largest_output(self, edge: Edge) -> None:
        tasks = [
            task_row(2, 0, TaskStatus.COMPLETED, output=json.dumps("x" * 2 * MIB).encode()),
            task_row(3, 1, TaskStatus.COMPLETED, output=b'{"y":1}'),
        ]
        edge.door.reader.add(run_record(1, RunStatus.COMPLETED, tasks, input=json.dumps({"z": "z" * 3 * (MIB - 9)}).encode()))
        reply = await details(edge, 1)
        assert reply.ByteSize() <= 4 * MIB
        big, small = reply.task_runs["step1"], reply.task_runs["step2"]
        assert (big.status, big.HasField("output"), small.output, small.HasField("error")) == (
            R.COMPLETED,
            False,
            b'{"y":1}',
            False,
        )
        assert f"({2 * MIB + 2} bytes) was left out" in big.error
        assert f"/api/v1/stable/tasks/{run_id(2)}" in big.error


def filtered(**fields: Any) -> wire.TasksFilter:
    return wire.TasksFilter(**{"since": Timestamp(seconds=5), **fields})


class TestCancelAndReplay:
    async def test_W12_1_ids_go_to_the_core_once_each(self, edge: Edge) -> None:
        edge.door.replies[CancelRequested] = (run_id(3),)
        request = wire.CancelTasksRequest(external_ids=[run_id(1), run_id(2).upper(), run_id(1)])
        reply = await edge.admin.CancelTasks(request, metadata=MINE)
        assert list(reply.cancelled_tasks) == [run_id(3)]
        assert edge.door.submitted == [(TENANT, CancelRequested((run_id(1), run_id(2))))]

    async def test_W12_4_replay(self, edge: Edge) -> None:
        edge.door.replies[ReplayRequested] = (run_id(1),)
        reply = await edge.admin.ReplayTasks(wire.ReplayTasksRequest(external_ids=[run_id(1)]), metadata=MINE)
        assert list(reply.replayed_tasks) == [run_id(1)]
        assert edge.door.submitted == [(TENANT, ReplayRequested((run_id(1),)))]

    @pytest.mark.parametrize(
        ("request_", "text"),
        [
            (wire.CancelTasksRequest(), "either external_ids or a filter"),
            (wire.CancelTasksRequest(external_ids=[run_id(1)], filter=filtered()), "either external_ids or a filter"),
            (wire.CancelTasksRequest(external_ids=["x"]), "must be a valid UUID"),
            (wire.CancelTasksRequest(external_ids=[run_id(1)] * 20_001), "at most 20000 ids"),
            (wire.CancelTasksRequest(filter=wire.TasksFilter()), "needs since"),
            (wire.CancelTasksRequest(filter=filtered(statuses=["ASLEEP"])), "status 'ASLEEP' is unknown; use QUEUED, RUNNING"),
            (wire.CancelTasksRequest(filter=filtered(additional_metadata=["x"])), "must have the form key:value"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_W12_8_what_is_not_clear_is_refused(self, edge: Edge, request_: Any, text: str) -> None:
        code, got = await status_of(edge.admin.CancelTasks(request_, metadata=MINE))
        assert (code, text in got) == (S.INVALID_ARGUMENT, True), got
        replay = wire.ReplayTasksRequest.FromString(request_.SerializeToString())
        assert (await status_of(edge.admin.ReplayTasks(replay, metadata=MINE))) == (code, got)
        assert edge.door.submitted == []

    async def test_W12_8_a_filter_becomes_the_ids_of_all_pages(self, edge: Edge) -> None:
        async def taken(item: CancelRequested) -> tuple[str, ...]:
            return item.ids

        edge.door.replies[CancelRequested] = taken
        for number in range(1_200):
            edge.door.reader.add(run_record(number, RunStatus.RUNNING, []))
        edge.door.reader.add(run_record(2_000, RunStatus.FAILED, []))
        wanted = filtered(
            until=Timestamp(seconds=9, nanos=1_000),
            statuses=["QUEUED", "running"],
            workflow_ids=[run_id(7)],
            additional_metadata=["k:v:w"],
        )
        for (_, key), record in list(edge.door.reader.records.items()):
            edge.door.reader.records[(1, key)] = record._replace(run=record.run._replace(metadata=b'{"k":"v:w"}'))
        reply = await edge.admin.CancelTasks(wire.CancelTasksRequest(filter=wanted), metadata=MINE)
        assert list(reply.cancelled_tasks) == [run_id(number) for number in range(1_200)]
        sizes = [len(item.ids) for _, item in edge.door.submitted if isinstance(item, CancelRequested)]
        assert sizes == [1_000, 200]
        query = edge.door.reader.queries[0]
        assert (query.since, query.until, query.statuses) == (5_000_000, 9_000_001, [RunStatus.QUEUED, RunStatus.RUNNING])
        assert (query.workflow_ids, list(query.metadata)) == ([run_id(7)], [("k", "v:w")])
        assert [one.offset for one in edge.door.reader.queries] == [0, 500, 1_000]

    async def test_a_filter_that_matches_nothing_changes_nothing(self, edge: Edge) -> None:
        reply = await edge.admin.ReplayTasks(wire.ReplayTasksRequest(filter=filtered()), metadata=MINE)
        assert (list(reply.replayed_tasks), edge.door.submitted) == ([], [])
