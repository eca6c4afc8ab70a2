"""Triggers and registrations, field by field."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import conditions_pb2 as conditions
from limpet.contracts import trigger_pb2 as trigger
from limpet.contracts import workflows_pb2 as wire
from limpet.core.definition_rules import check_definition
from limpet.core.definitions import (
    Comparator,
    ConcurrencyLimit,
    DesiredLabel,
    Feature,
    LimitStrategy,
    StickyStrategy,
    TaskDefinition,
    WorkflowDefinition,
)
from limpet.core.errors import InvalidArgument, NotSupported, WorkflowChanged
from limpet.core.ids import SECOND_US, ActionId
from limpet.core.inputs import RunsTriggered, Trigger, WorkflowPut, WorkflowPutReply
from limpet.core.limits_view import LimitsView
from limpet.core.records import UnusableKey
from limpet.edges.run_keys import KEYED_TRIES_MAX

from ..test_json_text import POISON
from .conftest import MINE, Edge, status_of
from .fake_door import TENANT, run_id

S = grpc.StatusCode
RUN, PARENT_RUN, PARENT_TASK = run_id(1), run_id(2), run_id(3)
Request = trigger.TriggerWorkflowRequest


async def triggered(edge: Edge, request: trigger.TriggerWorkflowRequest, *more: tuple[str, str]) -> Trigger:
    edge.door.replies[RunsTriggered] = (RUN,)
    reply = await edge.workflows.TriggerWorkflow(request, metadata=(*MINE, *more))
    assert reply.workflow_run_id == RUN
    tenant, item = edge.door.submitted[-1]
    assert tenant == TENANT
    assert isinstance(item, RunsTriggered)
    return item.items[0]


class TestTrigger:
    async def test_F2_7_a_workflow_with_limits_is_triggered_with_its_keys(self, edge: Edge) -> None:
        edge.door.expressions["wf"] = LimitsView("v-1", ("input.user", "input.missing", "workflow_run_id"))
        item = await triggered(edge, Request(name="wf", input=b'{"user":"ada"}'))
        assert item.keys is not None
        assert item.keys.version_id == "v-1"
        assert item.keys.keys == (
            "ada", UnusableKey('failed to parse step expression (input.missing): Key not found in map : "missing"'), item.keys.stand_in,
        )  # fmt: skip

    async def test_R52_a_workflow_that_was_registered_anew_gets_its_keys_again_and_not_for_ever(self, edge: Edge) -> None:
        edge.door.expressions["wf"] = LimitsView("v-1", ("'k'",))
        edge.door.replies[RunsTriggered] = WorkflowChanged("wf")
        code, details = await status_of(edge.workflows.TriggerWorkflow(Request(name="wf"), metadata=MINE))
        assert code is S.ABORTED
        assert "wf was registered anew" in details
        assert len(edge.door.submitted) == KEYED_TRIES_MAX

    async def test_a_bare_request_leaves_everything_to_the_workflow(self, edge: Edge) -> None:
        assert await triggered(edge, Request(name="wf")) == Trigger("wf")

    async def test_every_field_arrives(self, edge: Edge) -> None:
        request = Request(
            name="Ns_Wf.1", input=b' {"a": 1.0} ', additional_metadata=b'{"m":"1"}', priority=3, desired_worker_id=run_id(9).upper(),
            desired_worker_labels={
                "b": trigger.DesiredWorkerLabels(int_value=5, required=True, comparator=trigger.LESS_THAN, weight=-7),
                "a": trigger.DesiredWorkerLabels(str_value="x"),
            },
        )  # fmt: skip
        assert await triggered(edge, request, ("limpet-request-id", "q-1")) == Trigger(
            workflow_name="Ns_Wf.1", input=b' {"a": 1.0} ', metadata=b'{"m":"1"}', priority=3, desired_worker_id=run_id(9),
            desired_labels=(DesiredLabel("a", "x"), DesiredLabel("b", 5, True, -7, Comparator.LESS_THAN)), request_id="q-1",
        )  # fmt: skip

    async def test_W10_3_a_child_carries_its_parent_and_its_number(self, edge: Edge) -> None:
        item = await triggered(
            edge, Request(name="wf", parent_id=PARENT_RUN, parent_task_run_external_id=PARENT_TASK, child_index=0, child_key="k")
        )
        assert (item.parent_run_id, item.parent_task_id, item.child_index, item.child_key) == (PARENT_RUN, PARENT_TASK, 0, "k")

    async def test_W9_2_a_childs_metadata_names_its_parent(self, edge: Edge) -> None:
        item = await triggered(
            edge,
            Request(name="wf", parent_id=PARENT_RUN, parent_task_run_external_id=PARENT_TASK, additional_metadata=b'{"a":"b"}'),
        )
        assert json.loads(item.metadata) == {
            "a": "b", "hatchet__parent_workflow_run_id": PARENT_RUN, "hatchet__parent_step_run_id": PARENT_TASK,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "more", [{"child_index": 0}, {"child_index": 3, "child_key": "k"}, {"parent_id": "", "child_index": 0}]
    )
    async def test_a_child_number_without_a_parent_means_nothing(self, edge: Edge, more: dict[str, Any]) -> None:
        assert await triggered(edge, Request(name="wf", **more)) == Trigger("wf")

    @pytest.mark.parametrize(
        ("request_", "text"),
        [
            (Request(name="wf", desired_worker_id="abc"), "desiredWorkerId must be a valid UUID"),
            (Request(name="wf", parent_id="abc"), "parent_id must be a valid UUID"),
            (Request(name="wf", parent_task_run_external_id="abc"), "parent_task_run_external_id must be a valid UUID"),
            (Request(name="wf", parent_id=PARENT_RUN, child_key="k" * 256), "child key"),
            (Request(), "workflow name"),
            (Request(name="w" * 256), "workflow name"),
            (Request(name="wf", desired_worker_labels={"a": trigger.DesiredWorkerLabels()}), "label a needs exactly one value"),
            (Request(name="wf", additional_metadata=b"[]"), "additional metadata must be a JSON object, got an array"),
            (Request(name="wf", additional_metadata=b'{"a":"' + b"x" * 65_536 + b'"}'), "at most 65536"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_ST35_a_bad_field_is_named(self, edge: Edge, request_: Any, text: str) -> None:
        code, details = await status_of(edge.workflows.TriggerWorkflow(request_, metadata=MINE))
        assert (code, text in details) == (S.INVALID_ARGUMENT, True), details
        assert edge.door.submitted == []

    async def test_an_unknown_comparator_is_refused(self, edge: Edge) -> None:
        label = trigger.DesiredWorkerLabels(str_value="x", comparator=9)  # type: ignore[arg-type]
        code, details = await status_of(
            edge.workflows.TriggerWorkflow(Request(name="wf", desired_worker_labels={"a": label}), metadata=MINE)
        )
        assert (code, "comparator 9 is unknown" in details) == (S.INVALID_ARGUMENT, True)

    @pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
    async def test_TPOISONPAYLOAD_input_and_metadata_are_refused(self, edge: Edge, poison: bytes) -> None:
        for request in (Request(name="wf", input=poison), Request(name="wf", additional_metadata=poison)):
            assert (await status_of(edge.workflows.TriggerWorkflow(request, metadata=MINE)))[0] is S.INVALID_ARGUMENT
        assert edge.door.submitted == []

    async def test_an_error_of_the_core_reaches_the_caller_as_its_sentence(self, edge: Edge) -> None:
        edge.door.replies[RunsTriggered] = InvalidArgument("workflow names not found: wf; start a worker")
        assert await status_of(edge.workflows.TriggerWorkflow(Request(name="wf"), metadata=MINE)) == (
            S.INVALID_ARGUMENT, "workflow names not found: wf; start a worker",
        )  # fmt: skip
        edge.door.replies[RunsTriggered] = NotSupported("no concurrency yet")
        assert (await status_of(edge.workflows.TriggerWorkflow(Request(name="wf"), metadata=MINE)))[0] is S.UNIMPLEMENTED

    async def test_PR3_a_priority_is_passed_on_for_the_core_to_judge(self, edge: Edge) -> None:
        assert (await triggered(edge, Request(name="wf", priority=0))).priority == 0

    async def test_a_request_id_has_a_bound(self, edge: Edge) -> None:
        call = edge.workflows.TriggerWorkflow(Request(name="wf"), metadata=(*MINE, ("limpet-request-id", "q" * 256)))
        assert (await status_of(call))[0] is S.INVALID_ARGUMENT


class TestBulk:
    async def test_I4_one_input_with_all_items_in_order(self, edge: Edge) -> None:
        ids = tuple(run_id(n) for n in range(3))
        edge.door.replies[RunsTriggered] = ids
        request = wire.BulkTriggerWorkflowRequest(workflows=[Request(name=f"w{n}", priority=1 + n) for n in range(3)])
        reply = await edge.workflows.BulkTriggerWorkflow(request, metadata=(*MINE, ("limpet-request-id", "q")))
        assert tuple(reply.workflow_run_ids) == ids
        assert edge.door.submitted == [
            (TENANT, RunsTriggered(tuple(Trigger(f"w{n}", priority=1 + n, request_id=f"q:{n}") for n in range(3))))
        ]

    async def test_I4_one_bad_item_refuses_all_and_is_named(self, edge: Edge) -> None:
        request = wire.BulkTriggerWorkflowRequest(workflows=[Request(name="wf"), Request(name="wf", input=b"x")])
        code, details = await status_of(edge.workflows.BulkTriggerWorkflow(request, metadata=MINE))
        assert (code, details.startswith("item 1: input is not valid JSON")) == (S.INVALID_ARGUMENT, True)
        assert edge.door.submitted == []

    async def test_X15_a_thousand_items_at_most(self, edge: Edge) -> None:
        request = wire.BulkTriggerWorkflowRequest(workflows=[Request(name="wf")] * 1001)
        assert (await status_of(edge.workflows.BulkTriggerWorkflow(request, metadata=MINE)))[0] is S.RESOURCE_EXHAUSTED

    async def test_nothing_triggers_nothing(self, edge: Edge) -> None:
        assert not (await edge.workflows.BulkTriggerWorkflow(wire.BulkTriggerWorkflowRequest(), metadata=MINE)).workflow_run_ids
        assert edge.door.submitted == []


async def test_LB17_the_newer_form_carries_bytes_priority_and_labels(edge: Edge) -> None:
    edge.door.replies[RunsTriggered] = (RUN,)
    request = admin.TriggerWorkflowRunRequest(
        workflow_name="wf", input=b'{"a":1}', additional_metadata=b'{"m":1}', priority=2,
        desired_worker_labels={"a": trigger.DesiredWorkerLabels(str_value="x", required=True)},
    )  # fmt: skip
    reply = await edge.admin.TriggerWorkflowRun(request, metadata=(*MINE, ("limpet-request-id", "q")))
    assert reply.external_id == RUN
    item = Trigger("wf", b'{"a":1}', b'{"m":1}', 2, desired_labels=(DesiredLabel("a", "x", True),), request_id="q")
    assert edge.door.submitted == [(TENANT, RunsTriggered((item,)))]


Task = admin.CreateTaskOpts
Put = admin.CreateWorkflowVersionRequest


async def registered(edge: Edge, request: admin.CreateWorkflowVersionRequest) -> WorkflowDefinition:
    edge.door.replies[WorkflowPut] = WorkflowPutReply(run_id(5), run_id(6), True)
    reply = await edge.admin.PutWorkflow(request, metadata=MINE)
    assert (reply.workflow_id, reply.id) == (run_id(5), run_id(6))
    item = edge.door.submitted[-1][1]
    assert isinstance(item, WorkflowPut)
    return item.definition


async def one_task(edge: Edge, **fields: Any) -> TaskDefinition:
    return (await registered(edge, Put(name="wf", tasks=[Task(readable_id="t", action="wf:t", **fields)]))).tasks[0]


class TestPutWorkflow:
    async def test_a_bare_task_gets_the_defaults_of_the_contract(self, edge: Edge) -> None:
        definition = await registered(edge, Put(name="wf", tasks=[Task(readable_id="t", action="wf:t")]))
        assert definition == WorkflowDefinition("wf", (TaskDefinition("t", ActionId("wf:t")),))
        assert definition.tasks[0].execution_timeout_us == 60 * SECOND_US
        assert definition.tasks[0].schedule_timeout_us == 300 * SECOND_US
        check_definition(definition)

    async def test_every_field_arrives(self, edge: Edge) -> None:
        request = Put(
            name="Wf-1.x", description="d", version="v3", sticky=admin.HARD, default_priority=2, input_json_schema=b'{"type":"object"}',
            tasks=[
                Task(readable_id="b", action="wf-1.x:B", timeout="1m30s", schedule_timeout="500ms", inputs="{}", parents=["a", "a"], retries=4,
                     backoff_factor=1.5, backoff_max_seconds=10, slot_requests={"gpu": 2, "default": 1}, conditions=conditions.TaskConditions(),
                     worker_labels={"m": trigger.DesiredWorkerLabels(int_value=1, required=True, comparator=trigger.GREATER_THAN)}),
                Task(readable_id="a", action="wf-1.x:a"),
            ],
            on_failure_task=Task(readable_id="f", action="wf-1.x:f"),
        )  # fmt: skip
        assert await registered(edge, request) == WorkflowDefinition(
            name="Wf-1.x", description="d", version="v3", sticky=StickyStrategy.HARD, default_priority=2, input_schema=b'{"type":"object"}',
            tasks=(
                TaskDefinition("b", ActionId("wf-1.x:B"), parents=("a",), retries=4, schedule_timeout_us=500_000, execution_timeout_us=90 * SECOND_US,
                               backoff_factor_milli=1500, backoff_max_us=10 * SECOND_US, slot_requests=(("default", 1), ("gpu", 2)),
                               desired_labels=(DesiredLabel("m", 1, True, 100, Comparator.GREATER_THAN),)),
                TaskDefinition("a", ActionId("wf-1.x:a")),
            ),
            on_failure=TaskDefinition("f", ActionId("wf-1.x:f")),
        )  # fmt: skip

    async def test_ST1_an_absent_strategy_is_none_and_zero_is_soft(self, edge: Edge) -> None:
        assert (await registered(edge, Put(name="wf"))).sticky is None
        assert (await registered(edge, Put(name="wf", sticky=admin.SOFT))).sticky is StickyStrategy.SOFT

    @pytest.mark.parametrize(
        ("request_", "text"),
        [
            (Put(name="wf", sticky=7), "sticky 7 is unknown; use 0 (SOFT), 1 (HARD)"),  # type: ignore[arg-type]
            (
                Put(
                    name="wf",
                    tasks=[Task(readable_id="t", worker_labels={"a": trigger.DesiredWorkerLabels(str_value="x", comparator=6)})],
                ),  # type: ignore[arg-type]
                "comparator 6 is unknown",
            ),
            (Put(name="wf", concurrency_arr=[admin.Concurrency(limit_strategy=70)]), "limit_strategy 70 is unknown"),  # type: ignore[arg-type]
            (
                Put(name="wf", tasks=[Task(readable_id="t", rate_limits=[admin.CreateTaskRateLimit(key="k", duration=9)])]),  # type: ignore[arg-type]
                "duration 9 is unknown",
            ),
        ],
        ids=["sticky", "comparator", "strategy", "rate limit"],
    )
    async def test_ST2_unknown_enum_numbers_are_refused_wherever_they_stand(self, edge: Edge, request_: Any, text: str) -> None:
        code, details = await status_of(edge.admin.PutWorkflow(request_, metadata=MINE))
        assert (code, text in details) == (S.INVALID_ARGUMENT, True), details

    @pytest.mark.parametrize("text", ["42", "-30s", "1d", "5 s"])
    @pytest.mark.parametrize("field", ["timeout", "schedule_timeout"])
    async def test_AC68_bad_durations_are_refused_with_task_and_field(self, edge: Edge, field: str, text: str) -> None:
        request = Put(name="wf", tasks=[Task(readable_id="t", action="a", **{field: text})])  # type: ignore[arg-type]
        code, details = await status_of(edge.admin.PutWorkflow(request, metadata=MINE))
        assert code is S.INVALID_ARGUMENT
        assert details.startswith(f"task t: {field.replace('_', ' ')} {text!r} is not usable")

    @pytest.mark.parametrize(
        ("text", "us"), [("1h30m", 5_400_000_000), ("1.5h", 5_400_000_000), ("500ms", 500_000), (".5s", 500_000), ("0h", 0)]
    )
    async def test_AC68_good_durations_are_taken(self, edge: Edge, text: str, us: int) -> None:
        assert (await one_task(edge, timeout=text)).execution_timeout_us == us

    @pytest.mark.parametrize(
        ("fields", "milli", "cap_s"),
        [
            ({}, None, 86_400),
            ({"backoff_max_seconds": 5}, None, 86_400),
            ({"backoff_factor": 2.0}, 2_000, 86_400),
            ({"backoff_factor": 1.1, "backoff_max_seconds": 5}, 1_100, 5),
        ],
        ids=["none", "cap without factor", "factor", "both"],
    )
    async def test_RT3_backoff(self, edge: Edge, fields: dict[str, Any], milli: int | None, cap_s: int) -> None:
        task = await one_task(edge, **fields)
        assert (task.backoff_factor_milli, task.backoff_max_us) == (milli, cap_s * SECOND_US)

    @pytest.mark.parametrize("factor", [float("nan"), float("inf")])
    async def test_RT3_a_factor_that_is_no_number(self, edge: Edge, factor: float) -> None:
        request = Put(name="wf", tasks=[Task(readable_id="t", action="a", backoff_factor=factor)])
        assert (await status_of(edge.admin.PutWorkflow(request, metadata=MINE)))[0] is S.INVALID_ARGUMENT

    async def test_SL2_slots_of_a_durable_task(self, edge: Edge) -> None:
        task = await one_task(edge, is_durable=True)
        assert (task.slot_requests, task.is_durable) == ((("durable", 1),), True)

    async def test_SL3_zero_units_reach_the_cores_refusal(self, edge: Edge) -> None:
        definition = await registered(
            edge, Put(name="wf", tasks=[Task(readable_id="t", action="a", slot_requests={"default": 0})])
        )
        with pytest.raises(InvalidArgument, match="slot request"):
            check_definition(definition)

    async def test_W2_10_a_schema_that_is_no_json_is_refused(self, edge: Edge) -> None:
        assert (await status_of(edge.admin.PutWorkflow(Put(name="wf", input_json_schema=b"{"), metadata=MINE)))[
            0
        ] is S.INVALID_ARGUMENT

    async def test_everything_that_is_not_carried_out_is_told_with_its_place(self, edge: Edge) -> None:
        full = Task(readable_id="t", action="a", is_durable=True, concurrency=[admin.Concurrency(expression="'k'")],
                    rate_limits=[admin.CreateTaskRateLimit(key="k", units=1)], batch=admin.TaskBatchConfig(batch_max_size=2))  # fmt: skip
        request = Put(
            name="wf", tasks=[full], on_failure_task=Task(readable_id="f", action="f", is_durable=True),
            concurrency=admin.Concurrency(expression="'k'"), idempotency=admin.IdempotencyConfig(expression="'k'", ttl_ms=1),
            cron_triggers=["* * * * *"],
        )  # fmt: skip
        assert (await registered(edge, request)).undelivered == (
            (Feature.DURABLE, "task t"), (Feature.BATCH, "task t"), (Feature.DURABLE, "task f"),
        )  # fmt: skip

    async def test_F2_1_F2_3_concurrency_limits_arrive_the_single_field_only_without_a_list(self, edge: Edge) -> None:
        bare, full = admin.Concurrency(expression="'k'"), admin.Concurrency(expression="input.a", max_runs=3, limit_strategy=3)  # type: ignore[arg-type]
        newest = admin.Concurrency(expression="'t'", max_runs=2, limit_strategy=admin.CANCEL_NEWEST)
        mine = [Task(readable_id="t", action="a", concurrency=[newest, bare])]
        definition = await registered(edge, Put(name="wf", concurrency=full, tasks=mine))
        assert definition.concurrency == (ConcurrencyLimit("input.a", 3, LimitStrategy.GROUP_ROUND_ROBIN),)
        assert definition.tasks[0].concurrency == (
            ConcurrencyLimit("'t'", 2, LimitStrategy.CANCEL_NEWEST), ConcurrencyLimit("'k'", 1, LimitStrategy.CANCEL_IN_PROGRESS),
        )  # fmt: skip
        definition = await registered(edge, Put(name="wf", concurrency=full, concurrency_arr=[bare, bare]))
        assert definition.concurrency == (ConcurrencyLimit("'k'"),) * 2
        assert not definition.undelivered

    async def test_limits_arrive_with_name_tenant_scope_and_a_computed_number_of_runs(self, edge: Edge) -> None:
        named = admin.Concurrency(expression="'k'", max_runs=2, name="plain")
        shared = admin.Concurrency(expression="'k'", max_runs_expression="input.most", name="all", is_tenant_scoped=True)
        definition = await registered(
            edge, Put(name="wf", concurrency_arr=[named, shared], tasks=[Task(readable_id="t", action="a")])
        )
        progress = LimitStrategy.CANCEL_IN_PROGRESS
        assert definition.concurrency == (
            ConcurrencyLimit("'k'", 2, progress, name="plain"),
            ConcurrencyLimit("'k'", 1, progress, runs_expression="input.most", name="all", is_shared=True),
        )
        assert not definition.undelivered

    async def test_F1_6_a_computed_number_of_runs_that_does_not_compile_is_refused(self, edge: Edge) -> None:
        limit = admin.Concurrency(expression="'k'", max_runs_expression="input.")
        code, details = await status_of(edge.admin.PutWorkflow(Put(name="wf", concurrency_arr=[limit]), metadata=MINE))
        assert code is S.INVALID_ARGUMENT
        assert "workflow wf: the max_runs expression 'input.' cannot be used" in details

    @pytest.mark.parametrize("expression", ["", " ", "input.", "nobody.knows", "input.a ||", "[1].map(x, [1].map(y, y))"])
    @pytest.mark.parametrize("of_task", [True, False])
    async def test_B04_B05_F1_6_an_expression_that_does_not_compile_is_refused(
        self, edge: Edge, expression: str, of_task: bool
    ) -> None:
        limits = [admin.Concurrency(expression=expression)]
        request = Put(
            name="wf",
            tasks=[Task(readable_id="t", action="a", concurrency=limits if of_task else [])],
            concurrency_arr=[] if of_task else limits,
        )
        code, details = await status_of(edge.admin.PutWorkflow(request, metadata=MINE))
        assert code is S.INVALID_ARGUMENT
        assert "workflow wf" in details
        assert "concurrency expression" in details
        assert ("cannot be used: it is empty" in details) is (not expression.strip())
        assert not edge.door.submitted

    @pytest.mark.parametrize("number", [1, 2, 5, 6])
    async def test_B06_F2_3_other_strategies_are_refused(self, edge: Edge, number: int) -> None:
        limit = admin.Concurrency(expression="'k'", limit_strategy=number)  # type: ignore[arg-type]
        code, details = await status_of(edge.admin.PutWorkflow(Put(name="wf", concurrency=limit), metadata=MINE))
        assert code is S.INVALID_ARGUMENT
        assert "use one of CANCEL_IN_PROGRESS, GROUP_ROUND_ROBIN, CANCEL_NEWEST" in details

    async def test_a_text_with_a_nul_character_is_refused(self, edge: Edge) -> None:
        assert (await status_of(edge.admin.PutWorkflow(Put(name="wf", description="\0"), metadata=MINE)))[0] is S.INVALID_ARGUMENT
