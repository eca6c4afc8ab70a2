"""Workflows for the official client, as its users write them. `build` declares them on a client; a worker runs them.

Observed with client 1.43.1: `ctx.worker` knows no id (`ctx.worker.id()` is None, its label calls send ""); `ctx.worker_id` does.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from hatchet_sdk import (
    Context,
    EmptyModel,
    Hatchet,
    NonRetryableException,
    StickyStrategy,
    TriggerWorkflowOptions,
)
from hatchet_sdk.labels import DesiredWorkerLabel
from pydantic import BaseModel

from tests.compatibility.programs import journal


class Number(BaseModel):
    """A numbered run."""

    number: int = 0
    seconds: float = 0.0


class Doubled(BaseModel):
    """What `double` returns."""

    value: int


def build(hatchet: Hatchet) -> dict[str, Any]:
    """All workflows by name."""
    found: dict[str, Any] = {}
    found |= _sticky(hatchet)
    found |= _plain(hatchet)
    found |= _graph(hatchet)
    found |= _hard_pair(hatchet)
    found |= _timed(hatchet)
    return found


def _sticky(hatchet: Hatchet) -> dict[str, Any]:
    """The seed's sticky workflow and its child, in both strategies."""
    found: dict[str, Any] = {}
    for strategy in (StickyStrategy.SOFT, StickyStrategy.HARD):
        name = strategy.name.capitalize()
        parent = hatchet.workflow(name=f"Sticky{name}Workflow", sticky=strategy)
        child = hatchet.workflow(name=f"Sticky{name}ChildWorkflow", sticky=strategy)
        found |= {parent.name: parent, child.name: child}
        _add_sticky_steps(parent, child)
    return found


def _add_sticky_steps(parent: Any, child: Any) -> None:
    @parent.task()
    def step1a(input: EmptyModel, ctx: Context) -> dict:
        return {"worker": ctx.worker_id}

    @parent.task()
    def step1b(input: EmptyModel, ctx: Context) -> dict:
        return {"worker": ctx.worker_id}

    @parent.task(parents=[step1a, step1b])
    async def step2(input: EmptyModel, ctx: Context) -> dict:
        ref = await child.aio_run_no_wait(options=TriggerWorkflowOptions(sticky=True))
        result = await ref.aio_result()
        return {"worker": ctx.worker_id, "child": result["child"]["worker"]}

    @child.task(name="child")
    def run_child(input: EmptyModel, ctx: Context) -> dict:
        return {"worker": ctx.worker_id}


def _timed(hatchet: Hatchet) -> dict[str, Any]:
    """A task with a cron of each second and an input for it."""

    @hatchet.task(name="ticker", on_crons=["* * * * * *"], cron_input=Number(number=7), input_validator=Number)
    async def ticker(input: Number, ctx: Context) -> Doubled:
        journal.write("ticker", number=input.number, priority=ctx.priority, metadata=dict(ctx.additional_metadata or {}))
        return Doubled(value=2 * input.number)

    return {"ticker": ticker}


def _hard_pair(hatchet: Hatchet) -> dict[str, Any]:
    """Two tasks bound to one worker; the first is quick, unless the run is numbered 1."""
    pair = hatchet.workflow(name="HardPair", sticky=StickyStrategy.HARD, input_validator=Number)

    @pair.task(execution_timeout=timedelta(minutes=5))
    async def first(input: Number, ctx: Context) -> dict:
        journal.write("pair", task="first", number=input.number, retry=ctx.retry_count, worker=ctx.worker_id)
        await asyncio.sleep(input.seconds if input.number == 1 else 0)
        return {"worker": ctx.worker_id}

    @pair.task(parents=[first], execution_timeout=timedelta(minutes=5))
    async def second(input: Number, ctx: Context) -> dict:
        journal.write("pair", task="second", number=input.number, retry=ctx.retry_count, worker=ctx.worker_id)
        await asyncio.sleep(input.seconds)
        return {"worker": ctx.worker_id}

    return {pair.name: pair}


def _plain(hatchet: Hatchet) -> dict[str, Any]:
    @hatchet.task(name="double", input_validator=Number)
    async def double(input: Number, ctx: Context) -> Doubled:
        journal.write("double", number=input.number, retry=ctx.retry_count, task=ctx.step_run_id)
        return Doubled(value=2 * input.number)

    @hatchet.task(name="patient", input_validator=Number, execution_timeout=timedelta(seconds=6), retries=3)
    async def patient(input: Number, ctx: Context) -> Doubled:
        journal.write("patient", number=input.number, retry=ctx.retry_count)
        return Doubled(value=2 * input.number)

    @hatchet.task(name="sleeper", input_validator=Number, execution_timeout=timedelta(seconds=120))
    async def sleeper(input: Number, ctx: Context) -> Doubled:
        journal.write("sleeper", number=input.number, retry=ctx.retry_count, worker=ctx.worker_id)
        await asyncio.sleep(input.seconds)
        journal.write("sleeper done", number=input.number, retry=ctx.retry_count, worker=ctx.worker_id)
        return Doubled(value=2 * input.number)

    @hatchet.task(name="idler", input_validator=Number, execution_timeout=timedelta(hours=1))
    async def idler(input: Number, ctx: Context) -> Doubled:
        journal.write("idler", retry=ctx.retry_count)
        await asyncio.sleep(input.seconds)
        return Doubled(value=2 * input.number)

    @hatchet.task(name="urgent", default_priority=3, input_validator=Number)
    def urgent(input: Number, ctx: Context) -> dict:
        journal.write("priority", number=input.number, priority=ctx.priority)
        time.sleep(input.seconds)
        return {"priority": ctx.priority}

    @hatchet.task(name="ordinary", input_validator=Number)
    def ordinary(input: Number, ctx: Context) -> dict:
        journal.write("priority", number=input.number, priority=ctx.priority)
        time.sleep(input.seconds)
        return {"priority": ctx.priority}

    @hatchet.task(name="fails_once", retries=2)
    async def fails_once(input: EmptyModel, ctx: Context) -> dict:
        if ctx.retry_count == 0:
            raise RuntimeError("the first attempt fails")
        return {"attempt": ctx.attempt_number}

    @hatchet.task(name="fails_for_good", retries=3)
    async def fails_for_good(input: EmptyModel, ctx: Context) -> dict:
        journal.write("fails_for_good", retry=ctx.retry_count)
        raise NonRetryableException("no use in trying again")

    @hatchet.task(name="labelled", desired_worker_labels={"zone": DesiredWorkerLabel(value="a", required=True)})
    async def labelled(input: EmptyModel, ctx: Context) -> dict:
        return {"worker": ctx.worker_id, "labels": ctx.worker_labels}

    @hatchet.task(name="anywhere")
    async def anywhere(input: EmptyModel, ctx: Context) -> dict:
        return {"worker": ctx.worker_id, "labels": ctx.worker_labels}

    @hatchet.task(name="relabel")
    async def relabel(input: EmptyModel, ctx: Context) -> dict:
        await ctx.aio_upsert_worker_labels({"model": "v2"})
        return {"worker": ctx.worker_id}

    @hatchet.task(name="lifespan")
    async def lifespan(input: EmptyModel, ctx: Context) -> dict:
        return {"pool": ctx.lifespan["pool"]}

    @hatchet.task(name="parent", input_validator=Number)
    async def parent(input: Number, ctx: Context) -> dict:
        results = await double.aio_run_many([double.create_bulk_run_item(Number(number=n)) for n in range(input.number)])
        return {"sum": sum(result.value for result in results)}

    tasks = (
        double,
        patient,
        sleeper,
        idler,
        urgent,
        ordinary,
        fails_once,
        fails_for_good,
        labelled,
        anywhere,
        relabel,
        lifespan,
        parent,
    )
    return {task.name: task for task in tasks}


def _graph(hatchet: Hatchet) -> dict[str, Any]:
    graph = hatchet.workflow(name="Graph", input_validator=Number)

    @graph.task()
    def left(input: Number, ctx: Context) -> dict:
        return {"value": input.number + 1}

    @graph.task(retries=1)
    def right(input: Number, ctx: Context) -> dict:
        if ctx.retry_count == 0:
            raise ValueError("right fails once")
        return {"value": input.number + 2}

    @graph.task(parents=[left, right])
    def join(input: Number, ctx: Context) -> dict:
        return {"value": ctx.task_output(left)["value"] + ctx.task_output(right)["value"]}

    broken = hatchet.workflow(name="Broken")

    @broken.task()
    def breaks(input: EmptyModel, ctx: Context) -> dict:
        raise RuntimeError("broken on purpose")

    @broken.task(parents=[breaks])
    def never(input: EmptyModel, ctx: Context) -> dict:
        return {"ran": True}

    @broken.on_failure_task()
    def mend(input: EmptyModel, ctx: Context) -> dict:
        journal.write("mend", errors=sorted(ctx.task_run_errors))
        return {"mended": True}

    return {graph.name: graph, broken.name: broken}
