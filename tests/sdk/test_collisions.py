"""Idempotency collisions as our client raises them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest

from limpet import (
    BulkTriggerIdempotencyCollisionError,
    DedupeViolationError,
    IdempotencyCollisionError,
    Limpet,
    TTLBasedIdempotencyConfig,
)
from limpet.contracts import workflows_pb2
from limpet.core import errors
from limpet.edges.grpc.status import refusal_of
from tests.sdk.scripted_engine import ScriptedEngine

RULE = TTLBasedIdempotencyConfig(key_expression="input.id", ttl=timedelta(seconds=1))


def refusing(error: errors.RequestError) -> Any:
    """Ends a call as our engine does."""

    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        refusal = refusal_of(error)
        await context.abort(refusal.code, refusal.details, refusal.trailers)

    return answer


async def test_W16_3_a_collision_names_the_run_that_holds_the_key(client: Limpet, scripted: ScriptedEngine) -> None:
    scripted.answers["TriggerWorkflow"] = refusing(errors.IdempotencyCollision("run-1"))
    with pytest.raises(IdempotencyCollisionError) as caught:
        await client.workflow(name="w").aio_run()
    assert caught.value.existing_run_external_id == "run-1"
    assert len(scripted.calls) == 1


async def test_a_refusal_without_details_is_a_dedupe_violation(client: Limpet, scripted: ScriptedEngine) -> None:
    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(grpc.StatusCode.ALREADY_EXISTS, "child exists", (("grpc-status-details-bin", b""),))

    scripted.answers["TriggerWorkflow"] = answer
    with pytest.raises(DedupeViolationError, match="child exists"):
        await client.workflow(name="w").aio_run()


async def test_W16_4_calls_of_one_bulk_go_on_after_a_collision_and_tell_it_as_one(
    client: Limpet, scripted: ScriptedEngine
) -> None:
    """Of a workflow with a rule, so that what each call tells fits into a trailer."""

    async def answer(request: workflows_pb2.BulkTriggerWorkflowRequest, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        first = request.workflows[0].name
        if len(scripted.calls) == 2:
            return workflows_pb2.BulkTriggerWorkflowResponse(workflow_run_ids=["two"])
        started = (f"{first}-{len(scripted.calls)}",)
        await refusing(errors.BulkIdempotencyCollision(started, ("held",)))(request, context)

    scripted.answers["BulkTriggerWorkflow"] = answer
    workflow = client.workflow(name="w", idempotency=RULE)
    with pytest.raises(BulkTriggerIdempotencyCollisionError) as caught:
        await workflow.aio_run_many([workflow.create_bulk_run_item()] * 250)
    assert [len(call.request.workflows) for call in scripted.calls] == [100, 100, 50]
    assert caught.value.successful_workflow_run_external_ids == ["w-1", "two", "w-3"]
    assert [one.existing_run_external_id for one in caught.value.collisions] == ["held", "held"]
    assert str(caught.value) == "Other runs hold the idempotency keys of 2 items; 3 others were started."
