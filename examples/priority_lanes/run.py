"""Queue newsletters, then password resets: the resets overtake."""

import asyncio

from worker import Job, newsletter, password_reset


async def main() -> None:
    first = await newsletter.aio_run(Job(label="occupies the only slot", seconds=1.0), wait_for_result=False)
    letters = [await newsletter.aio_run(Job(label=f"newsletter {n}"), wait_for_result=False) for n in range(4)]
    resets = [await password_reset.aio_run(Job(label=f"password reset {n}"), wait_for_result=False) for n in range(2)]
    results = await asyncio.gather(*(reference.aio_result() for reference in [first, *letters, *resets]))
    for result in sorted(results, key=lambda one: one["at"]):
        print(result["label"])


if __name__ == "__main__":
    asyncio.run(main())
