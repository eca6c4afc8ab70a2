"""Workflows that events start, as users of the official client write them. Every task writes what it knows of its event."""

from __future__ import annotations

from typing import Any

from hatchet_sdk import Context, DefaultFilter, EmptyModel, Hatchet

from tests.compatibility.programs import journal


def build_eventful(hatchet: Hatchet) -> dict[str, Any]:
    """By name."""

    def write(name: str, input: EmptyModel, ctx: Context) -> None:
        journal.write(
            "event", task=name, input=input.model_dump(), metadata=ctx.additional_metadata, filter=ctx.filter_payload,
            event_id=ctx.triggering_event_id, key=ctx.triggering_event_key, priority=ctx.priority,
        )  # fmt: skip

    @hatchet.task(name="on-orders", on_events=["order:*", "order:created"])
    def on_orders(input: EmptyModel, ctx: Context) -> None:
        write("on-orders", input, ctx)

    @hatchet.task(
        name="on-invoices",
        on_events=["invoice"],
        default_filters=[
            DefaultFilter(expression="input.sum >= payload.least", scope="eu", payload={"least": 10}),
            DefaultFilter(expression="true", scope="us", payload={"least": 0}),
        ],
    )
    def on_invoices(input: EmptyModel, ctx: Context) -> None:
        write("on-invoices", input, ctx)

    return {task.name: task for task in (on_orders, on_invoices)}
