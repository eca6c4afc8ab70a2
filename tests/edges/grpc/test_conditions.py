"""Conditions at the edge: registrations become groups, outputs are judged before they are handed in (W5.1 to W5.4, R52)."""

from __future__ import annotations

import grpc
import pytest

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import conditions_pb2 as wire
from limpet.contracts import dispatcher_pb2 as dispatcher
from limpet.contracts import events_pb2 as events
from limpet.core.conditions import Action, Condition, Kind
from limpet.core.definition_text import checksum, encode_definition
from limpet.core.definitions import WorkflowDefinition
from limpet.core.errors import NotJudged
from limpet.core.event_inputs import EventsPushed
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import SECOND_US
from limpet.core.inputs import OutputVerdicts, TaskCompleted, WorkflowPut, WorkflowPutReply
from limpet.core.views import OutputView
from limpet.edges.condition_answers import JUDGED_TRIES_MAX

from .conftest import MINE, Edge, status_of
from .fake_door import AT, run_id

S = grpc.StatusCode
TASK = run_id(1)
Base = wire.BaseMatchCondition
Put = admin.CreateWorkflowVersionRequest


def parent(group: str, expression: str, *, action: wire.Action = wire.QUEUE, of: str = "a") -> wire.ParentOverrideMatchCondition:
    base = Base(readable_data_key=f"{of}:{expression}", action=action, or_group_id=group, expression=expression)
    return wire.ParentOverrideMatchCondition(base=base, parent_readable_id=of)


def sleep(group: str, seconds: str = "10s", action: wire.Action = wire.QUEUE) -> wire.SleepMatchCondition:
    return wire.SleepMatchCondition(
        base=Base(readable_data_key=f"sleep:{seconds}", action=action, or_group_id=group), sleep_for=seconds
    )


def event(group: str, key: str = "e", expression: str = "", action: wire.Action = wire.QUEUE) -> wire.UserEventMatchCondition:
    base = Base(readable_data_key=key, action=action, or_group_id=group, expression=expression)
    return wire.UserEventMatchCondition(base=base, user_event_key=key)


def before_1970() -> wire.UserEventMatchCondition:
    found = event("g")
    found.consider_events_since.seconds = -1
    return found


def put(conditions: wire.TaskConditions) -> admin.CreateWorkflowVersionRequest:
    below = admin.CreateTaskOpts(readable_id="b", action="wf:b", parents=["a"], conditions=conditions)
    return Put(name="wf", tasks=[admin.CreateTaskOpts(readable_id="a", action="wf:a"), below])


async def registered(edge: Edge, conditions: wire.TaskConditions) -> WorkflowDefinition:
    edge.door.replies[WorkflowPut] = WorkflowPutReply("w", "v", True)
    await edge.admin.PutWorkflow(put(conditions), metadata=MINE)
    item = edge.door.submitted[-1][1]
    assert isinstance(item, WorkflowPut)
    return item.definition


async def test_W5_1_lists_of_kinds_become_one_list_with_numbered_groups(edge: Edge) -> None:
    definition = await registered(edge, wire.TaskConditions(
        parent_override_conditions=[parent("g1", "output.n > 5", action=wire.SKIP), parent("g2", "")],
        sleep_conditions=[sleep("g2"), sleep("g3", "1m30s", wire.CANCEL)],
        user_event_conditions=[event("g3", "abort", "input.x", wire.CANCEL), event("", "alone"), event("", "too")],
    ))  # fmt: skip
    assert definition.tasks[1].conditions == (
        Condition(Kind.PARENT, Action.SKIP, 0, "", "a", "output.n > 5"),
        Condition(Kind.PARENT, Action.QUEUE, 1, "", "a", holds_if_skipped=True),
        Condition(Kind.SLEEP, Action.QUEUE, 1, "sleep:10s", sleep_us=10 * SECOND_US),
        Condition(Kind.SLEEP, Action.CANCEL, 2, "sleep:1m30s", sleep_us=90 * SECOND_US),
        Condition(Kind.EVENT, Action.CANCEL, 2, "abort", "abort", "input.x"),
        Condition(Kind.EVENT, Action.QUEUE, 3, "alone", "alone"),
        Condition(Kind.EVENT, Action.QUEUE, 4, "too", "too"),
    )
    assert not definition.undelivered


async def test_W3_3_what_clients_name_anew_each_time_does_not_make_another_version(edge: Edge) -> None:
    """Groups have random names, and the data of a parent's output is named by the time of day."""
    found = []
    for first, second in (("5f1c", "aa00"), ("0b77", "ff12")):
        output = parent(first, "output.n > 5")
        output.base.readable_data_key = f"a:output.n > 5:2026-01-0{len(found) + 1}"
        conditions = wire.TaskConditions(
            parent_override_conditions=[output], sleep_conditions=[sleep(first), sleep(second, "3s")]
        )  # fmt: skip
        found.append(await registered(edge, conditions))
    one, two = found
    other = await registered(edge, wire.TaskConditions(sleep_conditions=[sleep("x"), sleep("x", "3s")]))
    digests = [checksum(encode_definition(each)) for each in (one, two, other)]
    assert digests[0] == digests[1] != digests[2]


async def test_W5_4_what_an_expression_says_of_a_skipped_parent_is_found_out_at_registration(edge: Edge) -> None:
    expressions = ("has(output.skipped)", "output.skipped", "output.n > 5", "1 + 1 == 2", "output")
    conditions = wire.TaskConditions(parent_override_conditions=[parent("", one) for one in expressions])
    definition = await registered(edge, conditions)
    assert [one.holds_if_skipped for one in definition.tasks[1].conditions] == [True, True, False, True, False]


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (wire.TaskConditions(sleep_conditions=[sleep("g", action=wire.CREATE)]), "action CREATE; use one of QUEUE, CANCEL, SKIP"),
        (wire.TaskConditions(sleep_conditions=[sleep("g", "soon")]), "task b: the sleep of a condition"),
        (wire.TaskConditions(parent_override_conditions=[parent("g", "output.")]), "task b: the expression 'output.'"),
        (wire.TaskConditions(user_event_conditions=[event("g", "e", "payload.x")]), "undeclared reference to 'payload"),
        (wire.TaskConditions(user_event_conditions=[event("g", "e", "true || " * 900 + "true")]), "at most 4096"),
        (
            wire.TaskConditions(user_event_conditions=[before_1970()]),
            "consider_events_since of a condition must lie in the years",
        ),
        (
            wire.TaskConditions(user_event_conditions=[event("g", "e", "input.a.all(x, input.b.all(y, x == y))")]),
            "may not stand inside another one",
        ),
    ],
)
async def test_conditions_that_cannot_be_read_are_refused_by_name(
    edge: Edge, conditions: wire.TaskConditions, words: str
) -> None:
    code, details = await status_of(edge.admin.PutWorkflow(put(conditions), metadata=MINE))
    assert code is S.INVALID_ARGUMENT
    assert words in details


async def test_W5_14_a_scope_is_carried_over_and_an_empty_one_is_none(edge: Edge) -> None:
    scoped, unscoped, empty = event("g"), event("h", "f"), event("i", "g")
    scoped.event_scope, empty.event_scope = "s", ""
    definition = await registered(edge, wire.TaskConditions(user_event_conditions=[scoped, unscoped, empty]))
    assert [one.scope for one in definition.tasks[1].conditions] == ["s", "", ""]
    assert not definition.undelivered


async def test_W11_13_a_look_back_is_carried_over_in_microseconds(edge: Edge) -> None:
    past, present, first = event("g"), event("h", "f"), event("i", "g")
    past.consider_events_since.FromMicroseconds(1_764_000_000_123_456)
    first.consider_events_since.FromMicroseconds(0)
    definition = await registered(edge, wire.TaskConditions(user_event_conditions=[past, present, first]))
    assert [one.since_us for one in definition.tasks[1].conditions] == [1_764_000_000_123_456, 0, 1]
    assert not definition.undelivered


async def completed(edge: Edge, payload: str) -> TaskCompleted:
    await edge.dispatcher.SendStepActionEvent(
        dispatcher.StepActionEvent(
            worker_id="w", task_run_external_id=TASK, event_type=dispatcher.STEP_EVENT_TYPE_COMPLETED, event_payload=payload.encode()
        ),
        metadata=MINE,
    )  # fmt: skip
    item = edge.door.submitted[-1][1]
    assert isinstance(item, TaskCompleted)
    return item


async def test_W5_3_an_output_is_judged_on_its_bytes_and_errors_count_as_no(edge: Edge) -> None:
    edge.door.looked_at[TASK] = OutputView("v-1", ("output.n > 5", "output.n <= 5", "output.m > 5", "output.n", "true"))
    item = await completed(edge, '{"n": 7}')
    assert item.output == b'{"n": 7}'
    assert item.verdicts == OutputVerdicts(
        "v-1",
        (True, False, 'Key not found in map : "m"', "it must give true or false, and gives a number", True),
    )


@pytest.mark.parametrize("payload", ["", "null"])
async def test_W2_7_no_output_is_judged_as_an_empty_one(edge: Edge, payload: str) -> None:
    edge.door.looked_at[TASK] = OutputView("v-1", ("has(output.n)", "!has(output.n)"))
    item = await completed(edge, payload)
    assert (item.output, item.verdicts) == (b"", OutputVerdicts("v-1", (False, True)))


async def test_an_output_that_nobody_looks_at_is_not_judged(edge: Edge) -> None:
    assert (await completed(edge, "{}")).verdicts is None


async def test_R52_an_output_that_came_to_be_looked_at_is_judged_again_and_not_for_ever(edge: Edge) -> None:
    async def refused_once(item: TaskCompleted) -> None:
        if item.verdicts is None:
            edge.door.looked_at[TASK] = OutputView("v-2", ("true",))
            raise NotJudged("it")

    edge.door.replies[TaskCompleted] = refused_once
    assert (await completed(edge, "{}")).verdicts == OutputVerdicts("v-2", (True,))
    edge.door.submitted.clear()
    edge.door.replies[TaskCompleted] = NotJudged("it")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await completed(edge, "{}")
    assert refusal.value.code() is S.ABORTED
    assert len(edge.door.submitted) == JUDGED_TRIES_MAX


async def test_A38_an_event_for_which_an_expression_fails_does_not_satisfy_it(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    edge.door.awaited_of["e"] = ("input.id == 1", "input.id != 1", "input.other == 1")
    edge.door.replies[EventsPushed] = (PushedEventRow(1, run_id(1), 1, "e", b"{}", 2, b"{}", None, None, None, AT),)
    await edge.events.Push(events.PushEventRequest(key="e", payload='{"id":1}'), metadata=MINE)
    item = edge.door.submitted[-1][1]
    assert isinstance(item, EventsPushed)
    assert item.events[0].answers == (("input.id == 1", True), ("input.id != 1", False), ("input.other == 1", False))
    [record] = [record for record in caplog.records if record.name == "limpet.edges.condition_answers"]
    assert vars(record)["expression"] == "input.other == 1"
