"""Two workflows listen to orders: one to all of them, one only to large orders of a region, as its filter says."""

from typing import Any

from pydantic import BaseModel

from limpet import Context, DefaultFilter, Limpet

limpet = Limpet()


class Order(BaseModel):
    number: int
    cents: int


@limpet.task(name="confirm-order", on_events=["order:*"], input_validator=Order)
def confirm(input: Order, ctx: Context) -> dict[str, Any]:
    return {"said": f"order {input.number} confirmed, because of {ctx.triggering_event_key}"}


@limpet.task(
    name="check-order",
    on_events=["order:created"],
    input_validator=Order,
    default_filters=[DefaultFilter(expression="input.cents >= payload.from", scope="eu", payload={"from": 100_000})],
)
def check(input: Order, ctx: Context) -> dict[str, Any]:
    return {"said": f"order {input.number} checked, because {input.cents} >= {ctx.filter_payload['from']}"}


worker = limpet.worker("order-events", slots=10, workflows=[confirm, check])

if __name__ == "__main__":
    worker.start()
