"""Declaring workflows and tasks: names, defaults, the registration message, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from limpet import (
    ClientConfig,
    ConcurrencyExpression,
    ConcurrencyLimitStrategy,
    Context,
    DesiredWorkerLabel,
    EmptyModel,
    Limpet,
    ParentCondition,
    RateLimit,
    SleepCondition,
    StickyStrategy,
    TaskDefaults,
    UserEventCondition,
    or_,
)


class Order(BaseModel):
    n: int


@dataclass
class Card:
    n: int


class Row(TypedDict):
    n: int


def test_W1_2_names_and_namespaces() -> None:
    client = Limpet(config=ClientConfig(namespace="MyNs"))
    workflow = client.workflow(name="OrderFlow")

    @workflow.task()
    def First_Step(input: EmptyModel, ctx: Context) -> None: ...

    @workflow.on_failure_task(name="CleanUp")
    def clean(input: EmptyModel, ctx: Context) -> None: ...

    proto = workflow.to_proto()
    assert (workflow.name, workflow.service_name) == ("myns_OrderFlow", "myns_orderflow")
    assert [(task.readable_id, task.action) for task in proto.tasks] == [("first_step", "myns_orderflow:first_step")]
    assert proto.on_failure_task.readable_id == "cleanup-on-failure"
    assert client.worker("W", workflows=[workflow]).name == "myns_W"


def test_W2_2_a_standalone_has_the_name_of_its_function(offline: Limpet) -> None:
    @offline.task()
    def Send_Mail(input: EmptyModel, ctx: Context) -> None: ...

    proto = Send_Mail.to_proto()
    assert (proto.name, proto.tasks[0].readable_id, proto.tasks[0].action) == (
        "Send_Mail",
        "send_mail",
        "send_mail:send_mail",
    )


def test_W2_11_defaults_and_their_precedence(offline: Limpet) -> None:
    defaults = TaskDefaults(execution_timeout=timedelta(seconds=7), retries=4, schedule_timeout="9s", backoff_factor=2)
    workflow = offline.workflow(name="w", task_defaults=defaults)

    @workflow.task()
    def unset(input: EmptyModel, ctx: Context) -> None: ...

    @workflow.task(execution_timeout="60s", retries=0)
    def as_built_in(input: EmptyModel, ctx: Context) -> None: ...

    @workflow.task(execution_timeout="8s", retries=1, schedule_timeout="1h", backoff_factor=3)
    def own(input: EmptyModel, ctx: Context) -> None: ...

    first, second, third = workflow.to_proto().tasks
    assert (first.timeout, first.retries, first.schedule_timeout, first.backoff_factor) == ("7s", 4, "9s", 2)
    assert (second.timeout, second.retries) == ("7s", 4)
    assert (third.timeout, third.retries, third.schedule_timeout, third.backoff_factor) == ("8s", 1, "1h", 3)


def test_W2_11_built_in_defaults(offline: Limpet) -> None:
    @offline.task()
    def plain(input: EmptyModel, ctx: Context) -> None: ...

    [task] = plain.to_proto().tasks
    assert (task.timeout, task.schedule_timeout, task.retries) == ("1m", "5m", 0)
    assert not task.HasField("backoff_factor")
    assert dict(task.slot_requests) == {"default": 1}
    assert plain.to_proto().default_priority == 1


def test_everything_declared_reaches_the_message(offline: Limpet) -> None:
    limit = ConcurrencyExpression(expression="input.a", max_runs=2, limit_strategy=ConcurrencyLimitStrategy.CANCEL_NEWEST)
    workflow = offline.workflow(
        name="w", sticky=StickyStrategy.HARD, default_priority=3, concurrency=limit, input_validator=Order
    )

    @workflow.task(slot_cost=3, desired_worker_labels=[DesiredWorkerLabel(key="gpu", value="x", required=True)])
    def a(input: Order, ctx: Context) -> None: ...

    @workflow.task(parents=[a], rate_limits=[RateLimit(static_key="k"), RateLimit(dynamic_key="input.x", limit=5)])
    def b(input: Order, ctx: Context) -> None: ...

    @workflow.on_success_task()
    def done(input: Order, ctx: Context) -> None: ...

    proto = workflow.to_proto()
    first, second, last = proto.tasks
    assert (proto.sticky, proto.default_priority, proto.concurrency.max_runs) == (1, 3, 2)
    assert b'"n"' in proto.input_json_schema
    assert dict(first.slot_requests) == {"default": 3}
    assert first.worker_labels["gpu"].required
    assert (list(second.parents), list(last.parents)) == (["a"], ["b"])
    assert [(limit.key, limit.limit_values_expr) for limit in second.rate_limits] == [("k", "-1"), ("input.x", "5")]
    assert last.readable_id == "done-on-success"


def test_conditions_are_the_same_at_every_registration(offline: Limpet) -> None:
    def declare() -> Any:
        workflow = offline.workflow(name="w")

        @workflow.task()
        def a(input: EmptyModel, ctx: Context) -> None: ...

        wait_for = [SleepCondition("10s"), or_(UserEventCondition("x:y"), SleepCondition(timedelta(hours=1)))]

        @workflow.task(parents=[a], wait_for=wait_for, skip_if=[ParentCondition(a, "output.z > 1")])
        def b(input: EmptyModel, ctx: Context) -> None: ...

        return workflow.to_proto()

    first = declare()
    conditions = first.tasks[1].conditions
    assert first == declare()
    assert [sleep.sleep_for for sleep in conditions.sleep_conditions] == ["10s", "1h"]
    assert conditions.sleep_conditions[1].base.or_group_id == conditions.user_event_conditions[0].base.or_group_id
    assert conditions.sleep_conditions[0].base.or_group_id != conditions.sleep_conditions[1].base.or_group_id
    assert conditions.parent_override_conditions[0].parent_readable_id == "a"


def test_W2_14_two_sleeps_of_one_length_need_keys(offline: Limpet) -> None:
    with pytest.raises(ValueError, match="sleep:5s"):
        offline.workflow(name="w").task(wait_for=[SleepCondition("5s"), SleepCondition("5s")])(lambda input, ctx: None)


@pytest.mark.parametrize("cost", [0, -1])
def test_SL3_a_task_takes_at_least_one_slot(offline: Limpet, cost: int) -> None:
    with pytest.raises(ValueError, match="slot_cost"):
        offline.task(name="t", slot_cost=cost)(lambda input, ctx: None)


def test_TO2_a_timeout_of_nothing_is_refused(offline: Limpet) -> None:
    with pytest.raises(ValueError, match="execution_timeout"):
        offline.task(name="t", execution_timeout=timedelta(0))(lambda input, ctx: None)


def test_PR2_a_default_priority_beyond_three_is_refused(offline: Limpet) -> None:
    with pytest.raises(ValueError, match="default_priority"):
        offline.workflow(name="w", default_priority=4)


def test_W2_15_only_one_on_failure_task(offline: Limpet) -> None:
    workflow = offline.workflow(name="w")
    workflow.on_failure_task(name="a")(lambda input, ctx: None)
    with pytest.raises(ValueError, match="only one"):
        workflow.on_failure_task(name="b")(lambda input, ctx: None)


def test_two_tasks_of_one_name_are_refused(offline: Limpet) -> None:
    workflow = offline.workflow(name="w")
    workflow.task(name="a")(lambda input, ctx: None)
    workflow.task(name="A")(lambda input, ctx: None)
    with pytest.raises(ValueError, match="two tasks named 'a'"):
        workflow.to_proto()


def test_a_standalone_can_join_a_workflow(offline: Limpet) -> None:
    @offline.task(retries=2)
    def step(input: EmptyModel, ctx: Context) -> None: ...

    workflow = offline.workflow(name="w")
    workflow.add_task(step)
    assert [(task.action, task.retries) for task in workflow.to_proto().tasks] == [("w:step", 2)]


@pytest.mark.parametrize(("kind", "value"), [(Order, Order(n=1)), (Card, Card(1)), (dict, {"n": 1}), (Row, {"n": 1})])
def test_W2_5_every_input_type_reaches_the_task_as_declared(offline: Limpet, kind: Any, value: Any) -> None:
    @offline.task(input_validator=kind)
    def echo(input: Any, ctx: Context) -> dict[str, Any]:
        assert input == value
        return {"kind": type(input).__name__}

    assert echo.mock_run(value) == {"kind": type(value).__name__}


def test_a_stub_cannot_be_carried_by_a_worker(offline: Limpet) -> None:
    with pytest.raises(ValueError, match="stub"):
        offline.worker("w", workflows=[offline.stubs.task(name="elsewhere")])
