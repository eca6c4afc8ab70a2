"""Two customers look up six addresses each: the free plan gets two a second, the other one all at once."""

import asyncio
import time

from worker import Address, limpet, locate

from limpet import RateLimitDuration


async def look_up(customer: str, plan: str) -> None:
    began = time.monotonic()
    addresses = [Address(customer=customer, plan=plan, text=f"{n} Main Street") for n in range(6)]
    found = await locate.aio_run_many([locate.create_bulk_run_item(address) for address in addresses])
    print(f"{customer} ({plan}): {len(found)} addresses within {int(time.monotonic() - began)} s")


async def main() -> None:
    await limpet.rate_limits.aio_put("geocoder", 50, RateLimitDuration.SECOND)
    await asyncio.gather(look_up("ada", "free"), look_up("bob", "pro"))
    for limit in (await limpet.rate_limits.aio_list(search="geocoder")).rows:
        print(f"{limit.key}: {limit.limit_value} per {limit.window}")


if __name__ == "__main__":
    asyncio.run(main())
