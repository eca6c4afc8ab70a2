"""Calls of a paid API: so many a second for all of us together, and for each customer what the plan allows."""

from pydantic import BaseModel

from limpet import Context, Limpet, RateLimit, RateLimitDuration

limpet = Limpet()


class Address(BaseModel):
    customer: str
    plan: str
    text: str


our_contract = RateLimit(static_key="geocoder", units=1)
their_plan = RateLimit(
    dynamic_key="'geocoder/' + input.customer",
    units=1,
    limit="input.plan == 'pro' ? 100 : 2",
    duration=RateLimitDuration.SECOND,
)


@limpet.task(name="locate", input_validator=Address, rate_limits=[our_contract, their_plan])
def locate(input: Address, ctx: Context) -> dict[str, int]:
    return {"latitude": len(input.text)}  # here the API would be called


worker = limpet.worker("paid-api", slots=20, workflows=[locate])

if __name__ == "__main__":
    worker.start()
