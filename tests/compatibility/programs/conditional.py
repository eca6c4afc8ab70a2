"""Workflows with conditions, as users of the official client write them: what its own example shows, with short sleeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hatchet_sdk import Context, EmptyModel, Hatchet, ParentCondition, SleepCondition, UserEventCondition, or_
from pydantic import BaseModel


class Number(BaseModel):
    """What most tasks return."""

    number: int


def build_conditional(hatchet: Hatchet) -> dict[str, Any]:
    """By name."""
    return {
        one.name: one
        for one in (
            _branches(hatchet),
            _events(hatchet),
            _cancelled(hatchet),
            _single(hatchet),
            _patient(hatchet),
            _fickle(hatchet),
            _backward(hatchet),
        )
    }


def _branches(hatchet: Hatchet) -> Any:
    """A sleep, two branches of which one is skipped, and a sum over what ran."""
    workflow = hatchet.workflow(name="Branches", input_validator=Number)

    @workflow.task()
    def start(input: Number, ctx: Context) -> Number:
        return Number(number=input.number)

    @workflow.task(parents=[start], wait_for=[SleepCondition(timedelta(seconds=1))])
    def after_sleep(input: Number, ctx: Context) -> dict[str, Any]:
        return {"number": input.number, "slept": ctx.trigger_data}

    @workflow.task(parents=[after_sleep], skip_if=[ParentCondition(parent=after_sleep, expression="output.number > 50")])
    def left(input: Number, ctx: Context) -> Number:
        return Number(number=1)

    @workflow.task(parents=[after_sleep], skip_if=[ParentCondition(parent=after_sleep, expression="output.number <= 50")])
    def right(input: Number, ctx: Context) -> Number:
        return Number(number=2)

    @workflow.task(
        parents=[start],
        skip_if=[or_(ParentCondition(start, "output.number >= 1"), ParentCondition(start, "output.number > 1000"))],
    )
    def skipped_by_one_of_two(input: Number, ctx: Context) -> Number:
        return Number(number=3)

    @workflow.task(parents=[skipped_by_one_of_two])
    def skipped_with_its_parent(input: Number, ctx: Context) -> Number:
        return Number(number=4)

    @workflow.task(parents=[left, right, skipped_with_its_parent])
    def join(input: Number, ctx: Context) -> dict[str, Any]:
        ran = [task for task in (left, right) if not ctx.was_skipped(task)]
        return {"ran": [task.name for task in ran], "sum": sum(ctx.task_output(task).number for task in ran)}

    return workflow


def _events(hatchet: Hatchet) -> Any:
    """Tasks that wait for events, and races between events and sleeps."""
    workflow = hatchet.workflow(name="Events", input_validator=Number)

    @workflow.task()
    def start(input: Number, ctx: Context) -> Number:
        return Number(number=input.number)

    @workflow.task(
        parents=[start], wait_for=[or_(SleepCondition(timedelta(seconds=60)), UserEventCondition(event_key="events:go"))]
    )
    def by_event(input: Number, ctx: Context) -> dict[str, Any]:
        return {"triggers": ctx.trigger_data}

    @workflow.task(parents=[start], wait_for=[UserEventCondition("events:pick", "input.number == 7", readable_data_key="picked")])
    def by_its_number(input: Number, ctx: Context) -> dict[str, Any]:
        return {"triggers": ctx.trigger_data}

    @workflow.task(parents=[start], wait_for=[UserEventCondition("events:scoped", scope="eu")])
    def by_its_scope(input: Number, ctx: Context) -> dict[str, Any]:
        return {"triggers": ctx.trigger_data}

    @workflow.task(
        parents=[start], wait_for=[SleepCondition(timedelta(seconds=60))], skip_if=[UserEventCondition(event_key="events:skip")]
    )
    def skipped_by_event(input: Number, ctx: Context) -> Number:
        return Number(number=3)

    @workflow.task(
        parents=[start], wait_for=[UserEventCondition(event_key="events:never")], skip_if=[SleepCondition(timedelta(seconds=1))]
    )
    def skipped_by_sleep(input: Number, ctx: Context) -> Number:
        return Number(number=4)

    @workflow.task(
        parents=[start], wait_for=[or_(ParentCondition(start, "output.number > 50"), UserEventCondition(event_key="events:go"))]
    )
    def by_output_or_event(input: Number, ctx: Context) -> Number:
        return Number(number=5)

    return workflow


def _cancelled(hatchet: Hatchet) -> Any:
    """A task that is cancelled by an output, an event or a sleep, and one below it."""
    workflow = hatchet.workflow(name="Cancelled", input_validator=Number)

    @workflow.task()
    def start(input: Number, ctx: Context) -> Number:
        return Number(number=input.number)

    @workflow.task(
        parents=[start],
        wait_for=[SleepCondition(timedelta(seconds=60))],
        cancel_if=[
            or_(
                ParentCondition(start, "output.number > 50"),
                UserEventCondition(event_key="cancelled:abort"),
                SleepCondition(timedelta(seconds=20), readable_data_key="patience"),
            )
        ],
    )
    def fragile(input: Number, ctx: Context) -> Number:
        return Number(number=1)

    @workflow.task(parents=[fragile])
    def below(input: Number, ctx: Context) -> Number:
        return Number(number=2)

    return workflow


def _single(hatchet: Hatchet) -> Any:
    """A workflow of one task that waits."""
    workflow = hatchet.workflow(name="Single")

    @workflow.task(wait_for=[SleepCondition(timedelta(seconds=1))])
    def only(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {"triggers": ctx.trigger_data}

    return workflow


def _patient(hatchet: Hatchet) -> Any:
    """A task that waits for two events and a sleep."""
    workflow = hatchet.workflow(name="Patient")

    @workflow.task(
        wait_for=[
            UserEventCondition(event_key="patient:one"),
            UserEventCondition(event_key="patient:two"),
            SleepCondition(timedelta(seconds=2)),
        ]
    )
    def waits(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {"triggers": ctx.trigger_data}

    return workflow


def _fickle(hatchet: Hatchet) -> Any:
    """Its first attempt says something else than the next."""
    workflow = hatchet.workflow(name="Fickle")

    @workflow.task()
    def says(input: EmptyModel, ctx: Context) -> Number:
        return Number(number=ctx.retry_count)

    @workflow.task(parents=[says], cancel_if=[ParentCondition(says, "output.number == 0")])
    def listens(input: EmptyModel, ctx: Context) -> Number:
        return Number(number=1)

    return workflow


def _backward(hatchet: Hatchet) -> Any:
    """Tasks that ask for events from before they wait; of the hour before this program, or of the hour after."""
    workflow = hatchet.workflow(name="Backward")
    past, future = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))

    @workflow.task(wait_for=[UserEventCondition("backward:go", "input.n > 1", scope="eu", consider_events_since=past)])
    def looks_back(input: EmptyModel, ctx: Context) -> dict[str, Any]:
        return {"triggers": ctx.trigger_data}

    @workflow.task(skip_if=[UserEventCondition("backward:stop", consider_events_since=past)])
    def skipped_by_the_past(input: EmptyModel, ctx: Context) -> Number:
        return Number(number=1)

    @workflow.task(
        wait_for=[SleepCondition(timedelta(seconds=1))],
        skip_if=[UserEventCondition("backward:stop", consider_events_since=future)],
    )
    def not_skipped(input: EmptyModel, ctx: Context) -> Number:
        return Number(number=2)

    return workflow
