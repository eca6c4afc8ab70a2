"""Workflows to look at while they run and to do again in bulk, for the official client: `build_observed` declares them.

A task that should stand still waits for the file beside the journal that its run names.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from hatchet_sdk import Context, EmptyModel, Hatchet
from hatchet_sdk.labels import DesiredWorkerLabel
from pydantic import BaseModel

from tests.compatibility.processes import wait_for

CHUNKS = [f"{number}: {'chunk ' * 5}" for number in range(35)]
LINES = 24


class Gate(BaseModel):
    """What a run waits for."""

    gate: str = ""


class Odd(BaseModel):
    """An input that fails when it is even."""

    n: int


def gate_file(name: str) -> Path:
    """The file that lets a run with that gate go on."""
    return Path(os.environ["JOURNAL"]).with_name(name)


async def opened(name: str) -> None:
    """Return once the gate's file exists; the test runs in another process."""
    await asyncio.to_thread(wait_for, f"the gate {name}", gate_file(name).exists)


def build_observed(hatchet: Hatchet) -> dict[str, Any]:
    """All workflows by name."""
    return _mixed(hatchet) | _unplaced(hatchet) | _failing_once(hatchet) | _telling(hatchet)


def _mixed(hatchet: Hatchet) -> dict[str, Any]:
    """Six tasks: four roots, of which one fails and one cancels itself, and two that follow the first ones."""
    mixed = hatchet.workflow(name="Mixed", input_validator=Gate)

    @mixed.task(execution_timeout=timedelta(minutes=2))
    async def first(input: Gate, ctx: Context) -> dict:
        await opened(input.gate)
        return {"n": 1}

    @mixed.task()
    async def second(input: Gate, ctx: Context) -> dict:
        return {"n": 2}

    @mixed.task(parents=[first, second])
    async def third(input: Gate, ctx: Context) -> dict:
        return {"n": 3}

    @mixed.task(parents=[first, third])
    async def fourth(input: Gate, ctx: Context) -> dict:
        return {"n": 4}

    @mixed.task()
    async def fails(input: Gate, ctx: Context) -> dict:
        raise RuntimeError("broken on purpose")

    @mixed.task()
    async def gives_up(input: Gate, ctx: Context) -> dict:
        await ctx.aio_cancel()
        await asyncio.Event().wait()
        return {}

    return {mixed.name: mixed}


def _unplaced(hatchet: Hatchet) -> dict[str, Any]:
    """A task that ends, and one after it that no worker may take."""
    pair = hatchet.workflow(name="Unplaced")

    @pair.task()
    async def ends(input: EmptyModel, ctx: Context) -> dict:
        return {"n": 1}

    @pair.task(parents=[ends], desired_worker_labels={"planet": DesiredWorkerLabel(value="mars", required=True)})
    async def waits(input: EmptyModel, ctx: Context) -> dict:
        return {"n": 2}

    return {pair.name: pair}


def _failing_once(hatchet: Hatchet) -> dict[str, Any]:
    """Three workflows that fail until they are done again, and one that fails for even numbers."""
    found: dict[str, Any] = {}

    async def fails_first(input: EmptyModel, ctx: Context) -> dict:
        if ctx.retry_count == 0:
            raise RuntimeError("the first time fails")
        return {"attempt": ctx.attempt_number}

    for number in range(3):
        found[f"replayed{number}"] = hatchet.task(name=f"replayed{number}")(fails_first)

    @hatchet.task(name="odd", input_validator=Odd)
    async def odd(input: Odd, ctx: Context) -> Odd:
        if input.n % 2 == 0:
            raise ValueError(f"{input.n} is even")
        return input

    return found | {"odd": odd}


def _telling(hatchet: Hatchet) -> dict[str, Any]:
    """Tasks that stream, and tasks that log."""

    @hatchet.task(name="streams", input_validator=Gate)
    async def streams(input: Gate, ctx: Context) -> None:
        while not gate_file(input.gate).exists():
            await ctx.aio_put_stream("?")  # dropped until somebody listens
        for chunk in CHUNKS:
            await ctx.aio_put_stream(chunk)

    @hatchet.task(name="logs", retries=1)
    def logs(input: EmptyModel, ctx: Context) -> dict:
        for number in range(LINES // 2):
            ctx.log(f"line {ctx.retry_count * LINES // 2 + number}")
        if ctx.retry_count == 0:
            raise ValueError("once more")
        return {"task": ctx.step_run_id}

    return {"streams": streams, "logs": logs}
