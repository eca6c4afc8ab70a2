"""Rate limits over gRPC: set, paused, declared in a registration; and what an edge makes of their expressions."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from limpet.contracts import workflows_pb2 as wire
from limpet.contracts.admin_pb2 import CreateTaskOpts, CreateTaskRateLimit, CreateWorkflowVersionRequest
from limpet.contracts.admin_pb2 import RateLimitDuration as Duration
from limpet.contracts.trigger_pb2 import TriggerWorkflowRequest
from limpet.core.definition_rules import check_definition
from limpet.core.definitions import WorkflowDefinition
from limpet.core.errors import InvalidArgument
from limpet.core.inputs import RunKeys, RunsTriggered, WorkflowPut, WorkflowPutReply
from limpet.core.limits_view import LimitsView
from limpet.core.rate_definitions import LIMIT_MAX, RateUse, RateValue
from limpet.core.rate_inputs import RateLimitPaused, RateLimitPut
from limpet.core.rate_windows import RateWindow
from limpet.core.records import UnusableKey

from .conftest import MINE, Edge, status_of
from .fake_door import AT, TENANT

S = grpc.StatusCode


@pytest.mark.parametrize("window", list(RateWindow))
async def test_F4_1_a_limit_is_set_with_every_window(edge: Edge, window: RateWindow) -> None:
    await edge.workflows.PutRateLimit(
        wire.PutRateLimitRequest(key="api", limit=3, duration=wire.RateLimitDuration.Value(window.name)), metadata=MINE
    )
    assert edge.door.submitted == [(TENANT, RateLimitPut("api", 3, window))]


@pytest.mark.parametrize(("fields", "words"), [({"key": ""}, "key"), ({"key": "a\0"}, "key"), ({"duration": 7}, "duration 7")])
async def test_a_bad_field_is_named(edge: Edge, fields: dict[str, Any], words: str) -> None:
    request = wire.PutRateLimitRequest(**{"key": "api", "limit": 3, **fields})
    code, details = await status_of(edge.workflows.PutRateLimit(request, metadata=MINE))
    assert (code, words in details) == (S.INVALID_ARGUMENT, True), details
    assert not edge.door.submitted


async def test_a_pause_answers_until_when_it_lasts(edge: Edge) -> None:
    edge.door.replies[RateLimitPaused] = AT + 5
    request = wire.PauseRateLimitRequest(key="api", paused_until=Timestamp(seconds=AT // 1_000_000))
    answer = await edge.workflows.PauseRateLimit(request, metadata=MINE)
    assert edge.door.submitted == [(TENANT, RateLimitPaused("api", AT // 1_000_000 * 1_000_000))]  # type: ignore[arg-type]
    assert (answer.paused_until.seconds, answer.paused_until.nanos) == (AT // 1_000_000, 5_000)


async def test_a_pause_until_before_1970_is_refused(edge: Edge) -> None:
    request = wire.PauseRateLimitRequest(key="api", paused_until=Timestamp(seconds=-1))
    code, details = await status_of(edge.workflows.PauseRateLimit(request, metadata=MINE))
    assert (code, "1970 to 9999" in details) == (S.INVALID_ARGUMENT, True)


async def registered(edge: Edge, *limits: CreateTaskRateLimit, crons: tuple[str, ...] = ()) -> WorkflowDefinition:
    edge.door.replies[WorkflowPut] = WorkflowPutReply("workflow", "version", True)
    task = CreateTaskOpts(readable_id="t", action="wf:t", rate_limits=limits)
    request = CreateWorkflowVersionRequest(name="wf", tasks=[task], cron_triggers=crons)
    await edge.admin.PutWorkflow(request, metadata=MINE)
    _, item = edge.door.submitted[-1]
    assert isinstance(item, WorkflowPut)
    return item.definition


async def test_F4_3_F4_5_both_kinds_arrive_as_clients_send_them(edge: Edge) -> None:
    """A static key comes with a limit that means nothing; a computed one repeats its expression as key."""
    definition = await registered(
        edge,
        CreateTaskRateLimit(key="api", units=2, limit_values_expr="-1", duration=Duration.MINUTE),
        CreateTaskRateLimit(key="input.u", key_expr="input.u", units=1, limit_values_expr="10", duration=Duration.DAY),
        CreateTaskRateLimit(key="input.u", key_expr="input.u", units_expr="input.n", limit_values_expr="input.max"),
        CreateTaskRateLimit(key="api", units_expr="input.n"),
        CreateTaskRateLimit(key="api"),
    )
    assert definition.tasks[0].rate_limits == (
        RateUse("api", 2),
        RateUse("", 1, "input.u", "", "10", RateWindow.DAY),
        RateUse("", 1, "input.u", "input.n", "input.max"),
        RateUse("api", 1, "", "input.n"),
        RateUse("api", 1),
    )
    assert definition.undelivered == ()
    check_definition(definition)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (CreateTaskRateLimit(units=1, limit_values_expr="-1"), "needs a key"),
        (CreateTaskRateLimit(key="input.u", key_expr="input.u", limit_values_expr="-1"), "needs a limit"),
        (CreateTaskRateLimit(key="input.u", key_expr="input.u"), "needs a limit"),
        (CreateTaskRateLimit(key="k", units=-1), "units"),
    ],
)
async def test_B46_F4_6_what_no_client_checks_the_engine_refuses(edge: Edge, limit: CreateTaskRateLimit, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        check_definition(await registered(edge, limit))


@pytest.mark.parametrize(
    "limit",
    [
        CreateTaskRateLimit(key="input.", key_expr="input.", limit_values_expr="1"),
        CreateTaskRateLimit(key="'k'", key_expr="'k'", limit_values_expr="nobody"),
        CreateTaskRateLimit(key="'k'", key_expr="'k'", limit_values_expr="1", units_expr="1 +"),
        CreateTaskRateLimit(key="k", units_expr="parents.x"),
    ],
)
async def test_F4_6_F1_6_an_expression_that_does_not_compile_is_refused(edge: Edge, limit: CreateTaskRateLimit) -> None:
    request = CreateWorkflowVersionRequest(name="wf", tasks=[CreateTaskOpts(readable_id="t", action="a", rate_limits=[limit])])
    code, details = await status_of(edge.admin.PutWorkflow(request, metadata=MINE))
    assert code is S.INVALID_ARGUMENT
    assert "workflow wf, task t: the rate limit expression" in details
    assert not edge.door.submitted


async def values_of(edge: Edge, use: RateUse, data: str) -> RateValue | UnusableKey:
    """What the edge hands in for a run with that input."""
    edge.door.expressions["wf"] = LimitsView("v1", (), (use,))
    edge.door.replies[RunsTriggered] = ("run",)
    await edge.workflows.TriggerWorkflow(TriggerWorkflowRequest(name="wf", input=data.encode()), metadata=MINE)
    _, item = edge.door.submitted[-1]
    assert isinstance(item, RunsTriggered)
    keys = item.items[0].keys
    assert isinstance(keys, RunKeys)
    assert (keys.version_id, keys.keys) == ("v1", ())
    [value] = keys.rates
    return value


async def test_F4_7_keys_are_texts_units_and_limits_whole_numbers(edge: Edge) -> None:
    use = RateUse("", 1, "input.user", "input.units", "input.max")
    found = await values_of(edge, use, '{"user":"ada","units":2.9,"max":10}')
    assert found == RateValue("ada", 2, 10)
    assert await values_of(edge, RateUse("", 4, "'u-' + input.user", "", "7"), '{"user":"ada"}') == RateValue("u-ada", 4, 7)
    assert await values_of(edge, RateUse("api", 1, "", "size(input.rows)"), '{"rows":[1,2,3]}') == RateValue("api", 3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ('{"user":7,"units":1,"max":1}', "must give a text"),
        ('{"units":1,"max":1}', "Key not found"),
        ('{"user":"a","units":"x","max":1}', "must give a number"),
        ('{"user":"a","units":true,"max":1}', "must give a number"),
        ('{"user":"a","units":-1,"max":1}', "between 0 and"),
        ('{"user":"a","units":1,"max":-2}', "between 0 and"),
        (f'{{"user":"a","units":1,"max":{LIMIT_MAX + 1}}}', "between 0 and"),
        ('{"user":"a","units":1,"max":1e300}', "between 0 and"),
    ],
)
async def test_B44_F4_7_another_type_or_an_error_is_told_in_a_sentence(edge: Edge, data: str, words: str) -> None:
    found = await values_of(edge, RateUse("", 1, "input.user", "input.units", "input.max"), data)
    assert isinstance(found, UnusableKey)
    assert found.error.startswith("failed to parse step expression (input.")
    assert words in found.error
