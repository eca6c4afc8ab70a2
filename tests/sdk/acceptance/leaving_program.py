"""A worker in a process of its own. Its task says "running" and works until a line comes on its standard input."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from limpet import Context, EmptyModel, Limpet

limpet = Limpet()


async def lifespan() -> AsyncIterator[dict[str, int]]:
    yield {"answer": 42}
    print("cleaned up", flush=True)


@limpet.task()
def held(input: EmptyModel, ctx: Context) -> dict[str, int]:
    print("running", flush=True)
    sys.stdin.readline()
    print("ended", flush=True)
    return {"answer": ctx.lifespan["answer"], "attempt": ctx.attempt_number, "retry_count": ctx.retry_count}


if __name__ == "__main__":
    limpet.worker(sys.argv[1], slots=1, workflows=[held], lifespan=lifespan).start()
    print("start returned", flush=True)
