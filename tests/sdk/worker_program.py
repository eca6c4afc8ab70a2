"""A worker in a process of its own, for signals. Says "running" once its task runs; the engine is named by variables."""

from __future__ import annotations

import asyncio

from limpet import Context, EmptyModel, Limpet

limpet = Limpet()


@limpet.task()
async def endless(input: EmptyModel, ctx: Context) -> None:
    print("running", flush=True)
    await asyncio.Event().wait()


@limpet.task()
async def brief(input: EmptyModel, ctx: Context) -> None: ...


if __name__ == "__main__":
    limpet.worker("w", workflows=[endless, brief]).start()
    print("start returned", flush=True)
