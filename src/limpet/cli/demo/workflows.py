"""What the demo runs: the sticky, priority and label workflows, written as a user would write them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pydantic import BaseModel

from limpet import Context, EmptyModel, Limpet, Standalone, StickyStrategy, TriggerWorkflowOptions
from limpet.labels import DesiredWorkerLabel
from limpet.runnables.workflow import Workflow


class Job(BaseModel):
    """A numbered piece of work that takes a while."""

    number: int = 0
    seconds: float = 0.0


class Place(BaseModel):
    """Where a task ran, and when its body began (seconds since 1970)."""

    worker: str
    number: int = 0
    attempt: int = 1
    began_at: float = 0.0


Family = tuple[Workflow[EmptyModel], Workflow[EmptyModel]]  # a workflow, and the one that it spawns


class Demo:
    """The workflows on one client."""

    soft: Family
    hard: Family
    low: Standalone[Job, Place]
    high: Standalone[Job, Place]
    train: Standalone[Job, Place]
    report: Standalone[Job, Place]
    long: Standalone[Job, Place]

    def __init__(self, limpet: Limpet) -> None:
        self.soft = sticky_workflow(limpet, "demo-sticky-soft", StickyStrategy.SOFT)
        self.hard = sticky_workflow(limpet, "demo-sticky-hard", StickyStrategy.HARD)

        @limpet.task(name="demo-low", default_priority=1, input_validator=Job)
        def low(input: Job, ctx: Context) -> Place:
            return work(input, ctx)

        @limpet.task(name="demo-high", default_priority=3, input_validator=Job)
        def high(input: Job, ctx: Context) -> Place:
            return work(input, ctx)

        gpu = DesiredWorkerLabel(value="yes", required=True)

        @limpet.task(name="demo-train", desired_worker_labels={"gpu": gpu}, input_validator=Job)
        def train(input: Job, ctx: Context) -> Place:
            return work(input, ctx)

        @limpet.task(name="demo-report", input_validator=Job)
        def report(input: Job, ctx: Context) -> Place:
            return work(input, ctx)

        @limpet.task(name="demo-long", input_validator=Job)
        async def long(input: Job, ctx: Context) -> Place:
            began_at = time.time()
            await asyncio.sleep(input.seconds)
            return Place(worker=ctx.worker_id, number=input.number, attempt=ctx.attempt_number, began_at=began_at)

        self.low, self.high, self.train, self.report, self.long = low, high, train, report, long

    @property
    def general(self) -> list[Any]:
        """What the label workers carry."""
        soft, soft_child = self.soft
        hard, hard_child = self.hard
        return [soft, soft_child, hard, hard_child, self.train, self.report, self.long]

    @property
    def lanes(self) -> list[Any]:
        """What the worker with one slot carries."""
        return [self.low, self.high]


def work(input: Job, ctx: Context) -> Place:
    """Take the time, and say where."""
    began_at = time.time()
    time.sleep(input.seconds)
    return Place(worker=ctx.worker_id, number=input.number, attempt=ctx.attempt_number, began_at=began_at)


def sticky_workflow(limpet: Limpet, name: str, strategy: StickyStrategy) -> Family:
    """Two roots, and a step behind them that spawns a sticky child."""
    parent = limpet.workflow(name=name, sticky=strategy)
    child = limpet.workflow(name=f"{name}-child", sticky=strategy)

    @parent.task()
    def step1a(input: EmptyModel, ctx: Context) -> dict[str, str]:
        return {"worker": ctx.worker.id()}

    @parent.task()
    def step1b(input: EmptyModel, ctx: Context) -> dict[str, str]:
        return {"worker": ctx.worker.id()}

    @parent.task(parents=[step1a, step1b])
    async def step2(input: EmptyModel, ctx: Context) -> dict[str, str]:
        ref = await child.aio_run_no_wait(options=TriggerWorkflowOptions(sticky=True))
        result = await ref.aio_result()
        return {"worker": ctx.worker.id(), "child": result["child"]["worker"]}

    @child.task(name="child")
    def run_child(input: EmptyModel, ctx: Context) -> dict[str, str]:
        return {"worker": ctx.worker.id()}

    return parent, child
