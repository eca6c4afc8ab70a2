"""The workflows of the soak, for either client: Limpet's own, or the official one, which has the same names.

What is planned is decided by a run's number, so that the auditor can say afterwards how each run should have ended.
"""

from __future__ import annotations

import asyncio
import importlib
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from tests.compatibility.programs import journal
from tests.soak.programs.flow import build_flow

CLIENTS = {"limpet": ("limpet", "Limpet"), "official": ("hatchet_sdk", "Hatchet")}
KINDS = (
    *("quick", "quick", "quick", "flaky", "doomed", "graph", "hard", "family", "sleeper"),
    *("metered", "limited", "waits", "heard", "later"),
)  # fmt: skip
FAILS_BY_PLAN = frozenset({"doomed"})


class Order(BaseModel):
    """One run: its number in its client, and how long it sleeps."""

    number: int = 0
    seconds: float = 0.0


def sdk_of(kind: str) -> Any:
    """The client's package."""
    return importlib.import_module(CLIENTS[kind][0])


def client_of(kind: str) -> Any:
    """A client configured by its environment variables."""
    return getattr(sdk_of(kind), CLIENTS[kind][1])()


def build(kind: str, client: Any) -> dict[str, Any]:
    """All workflows by their kind; names begin with the client's, so that both can work on one engine."""
    sdk = sdk_of(kind)
    # Outcomes that are under way when its channel breaks are dropped by the official client (observed with 1.43.1):
    # the engine then runs the task again after its timeout.
    patient: dict[str, Any] = {"execution_timeout": timedelta(seconds=15), "retries": 6, "schedule_timeout": timedelta(minutes=5)}
    flow = build_flow(kind, sdk, client, Order, worked, patient)
    return {**_single(kind, sdk, client, patient), **_graphs(kind, sdk, client, patient), **flow}


def noted(context: Any, order: Order, what: str) -> None:
    """A line of the journal about this attempt."""
    journal.write(what, number=order.number, task=context.step_run_id, run=context.workflow_run_id, retry=context.retry_count)


async def worked(context: Any, order: Order, seconds: float) -> dict[str, Any]:
    """What a task without any trouble does."""
    noted(context, order, "start")
    await asyncio.sleep(seconds)
    return _done(context, order)


def _single(kind: str, sdk: Any, client: Any, patient: dict[str, Any]) -> dict[str, Any]:
    def task(name: str) -> Any:
        return client.task(name=f"{kind}-{name}", input_validator=Order, **patient)

    @task("quick")
    async def quick(order: Order, ctx: Any) -> dict[str, Any]:
        noted(ctx, order, "start")
        return _done(ctx, order)

    @task("flaky")
    async def flaky(order: Order, ctx: Any) -> dict[str, Any]:
        noted(ctx, order, "start")
        if ctx.retry_count == 0:
            noted(ctx, order, "fails")
            raise RuntimeError("the first attempt fails by plan")
        return _done(ctx, order)

    @task("doomed")
    async def doomed(order: Order, ctx: Any) -> dict[str, Any]:
        noted(ctx, order, "start")
        raise sdk.NonRetryableException("fails by plan")

    @task("sleeper")
    async def sleeper(order: Order, ctx: Any) -> dict[str, Any]:
        return await worked(ctx, order, order.seconds)

    @task("family")
    async def family(order: Order, ctx: Any) -> dict[str, Any]:
        noted(ctx, order, "start")
        items = [quick.create_bulk_run_item(Order(number=order.number), key=f"child-{one}") for one in range(3)]
        results = await quick.aio_run_many(items)
        return {**_done(ctx, order), "children": len(results)}

    return {"quick": quick, "flaky": flaky, "doomed": doomed, "sleeper": sleeper, "family": family}


def _graphs(kind: str, sdk: Any, client: Any, patient: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, strategy in (("graph", sdk.StickyStrategy.SOFT), ("hard", sdk.StickyStrategy.HARD)):
        graph = client.workflow(name=f"{kind}-{name}", sticky=strategy, input_validator=Order)
        _add_steps(graph, patient)
        found[name] = graph
    return found


def _add_steps(graph: Any, patient: dict[str, Any]) -> None:
    @graph.task(**patient)
    async def first(order: Order, ctx: Any) -> dict[str, Any]:
        noted(ctx, order, "start")
        return _done(ctx, order)

    @graph.task(parents=[first], **patient)
    async def left(order: Order, ctx: Any) -> dict[str, Any]:
        return await worked(ctx, order, order.seconds / 4)

    @graph.task(parents=[first], **patient)
    async def right(order: Order, ctx: Any) -> dict[str, Any]:
        noted(ctx, order, "start")
        return _done(ctx, order)

    @graph.task(parents=[left, right], **patient)
    async def last(order: Order, ctx: Any) -> dict[str, Any]:
        noted(ctx, order, "start")
        return {**_done(ctx, order), "left": ctx.task_output(left)["number"]}


def _done(context: Any, order: Order) -> dict[str, Any]:
    noted(context, order, "done")
    return {"number": order.number, "retry": context.retry_count}
