"""Idempotency on the wire: the rule of a registration, the key of a trigger, what is told of a collision."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import workflows_pb2 as wire
from limpet.contracts.status_pb2 import Status
from limpet.contracts.trigger_pb2 import TriggerWorkflowRequest as Request
from limpet.core.definitions import Idempotency
from limpet.core.inputs import KeyTaken, RunsTriggered, WorkflowPut, WorkflowPutReply
from limpet.core.limits_view import LimitsView
from limpet.core.records import UnusableKey
from limpet.edges.grpc.translate.collisions import RUNS_MAX, TRAILER

from .conftest import MINE, Edge, status_of
from .fake_door import run_id

S = grpc.StatusCode


async def refused(call: object) -> tuple[S, str, AnyMessage]:
    """Code, text and the one detail of a refused call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    error = caught.value
    status = Status.FromString(dict(error.trailing_metadata() or ())[TRAILER])
    assert (status.code, status.message) == (6, error.details())
    (detail,) = status.details
    return error.code(), error.details() or "", detail


async def rule(edge: Edge, **config: object) -> Idempotency | None:
    edge.door.replies[WorkflowPut] = WorkflowPutReply(run_id(5), run_id(6), True)
    request = admin.CreateWorkflowVersionRequest(name="wf", idempotency=admin.IdempotencyConfig(**config))  # type: ignore[arg-type]
    await edge.admin.PutWorkflow(request, metadata=MINE)
    (_, item) = edge.door.submitted[-1]
    assert isinstance(item, WorkflowPut)
    assert not item.definition.undelivered
    return item.definition.idempotency


async def test_W16_1_both_methods_arrive_and_a_rule_without_one_holds_for_its_time(edge: Edge) -> None:
    assert await rule(edge, expression="input.id", ttl_ms=1_500) == Idempotency("input.id", 1_500_000)
    assert await rule(edge, expression="input.id", ttl_ms=1, method=admin.TTL) == Idempotency("input.id", 1_000)
    assert await rule(edge, expression="'k'", ttl_ms=2, method=admin.STATUS) == Idempotency("'k'", 2_000, until_end=True)


@pytest.mark.parametrize(
    ("expression", "ttl_ms", "what"), [("input.", 1, "the idempotency expression"), ("'k'", 0, "1 ms or more"), ("'k'", -5, "1 ms or more")]
)  # fmt: skip
async def test_F1_6_a_rule_that_cannot_be_used_is_refused_with_its_workflow(
    edge: Edge, expression: str, ttl_ms: int, what: str
) -> None:
    config = admin.IdempotencyConfig(expression=expression, ttl_ms=ttl_ms)
    put = edge.admin.PutWorkflow(admin.CreateWorkflowVersionRequest(name="wf", idempotency=config), metadata=MINE)
    code, text = await status_of(put)
    assert code is S.INVALID_ARGUMENT
    assert "workflow wf" in text
    assert what in text


async def test_W16_1_the_key_is_computed_beside_those_of_limits(edge: Edge) -> None:
    edge.door.expressions["wf"] = LimitsView("v-1", ("input.user",), idempotency="additional_metadata.order")
    edge.door.replies[RunsTriggered] = (run_id(1),)
    await edge.workflows.TriggerWorkflow(Request(name="wf", input=b'{"user":"ada"}', additional_metadata=b'{"order":"7"}'), metadata=MINE)  # fmt: skip
    await edge.workflows.TriggerWorkflow(Request(name="wf", input=b'{"user":"ada"}'), metadata=MINE)
    first, second = (item.items[0].keys for _, item in edge.door.submitted if isinstance(item, RunsTriggered))
    assert first is not None
    assert second is not None
    assert (first.keys, first.idempotency) == (("ada",), "7")
    assert isinstance(second.idempotency, UnusableKey)


@pytest.mark.parametrize("form", ["old", "new"])
async def test_W16_3_a_collision_tells_the_run_that_holds_the_key(edge: Edge, form: str) -> None:
    edge.door.replies[RunsTriggered] = (KeyTaken(run_id(7)),)
    if form == "old":
        call = edge.workflows.TriggerWorkflow(Request(name="wf"), metadata=MINE)
    else:
        call = edge.admin.TriggerWorkflowRun(admin.TriggerWorkflowRunRequest(workflow_name="wf"), metadata=MINE)
    code, text, detail = await refused(call)
    assert (code, text) == (S.ALREADY_EXISTS, "idempotency key collision")
    assert detail.type_url == "type.googleapis.com/v1.IdempotencyCollisionError"
    assert admin.IdempotencyCollisionError.FromString(detail.value).existing_run_external_id == run_id(7)


async def bulk_refused(edge: Edge, replies: tuple[object, ...]) -> admin.BulkTriggerIdempotencyCollisionError:
    edge.door.replies[RunsTriggered] = replies
    request = wire.BulkTriggerWorkflowRequest(workflows=[Request(name="wf")] * len(replies))
    code, text, detail = await refused(edge.workflows.BulkTriggerWorkflow(request, metadata=MINE))
    assert (code, text) == (S.ALREADY_EXISTS, "idempotency key collision")
    assert detail.type_url == "type.googleapis.com/v1.BulkTriggerIdempotencyCollisionError"
    return admin.BulkTriggerIdempotencyCollisionError.FromString(detail.value)


async def test_W16_4_a_bulk_tells_what_was_started_and_what_collided(edge: Edge) -> None:
    told = await bulk_refused(edge, (run_id(1), KeyTaken(run_id(7)), run_id(2), KeyTaken(run_id(8))))
    assert list(told.successful_workflow_run_external_ids) == [run_id(1), run_id(2)]
    assert [one.existing_run_external_id for one in told.collisions] == [run_id(7), run_id(8)]


async def test_W16_4_of_a_bulk_too_large_to_be_told_the_code_still_arrives(edge: Edge) -> None:
    told = await bulk_refused(edge, (*(run_id(n) for n in range(800)), *(KeyTaken(run_id(n)) for n in range(800, 1_000))))
    assert len(told.successful_workflow_run_external_ids) + len(told.collisions) == RUNS_MAX
    assert len(told.collisions) == 1
