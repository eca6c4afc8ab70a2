"""A parent loads a data set once and spawns a child for each part; the children run where the parent runs."""

import os
from typing import Any

from pydantic import BaseModel

from limpet import Context, Limpet, StickyStrategy

limpet = Limpet()
DATA: dict[str, list[int]] = {}


class DataSet(BaseModel):
    name: str
    parts: int


class Part(BaseModel):
    name: str
    number: int


@limpet.task(name="fan-out-part", input_validator=Part, sticky=StickyStrategy.HARD)
async def part(input: Part, ctx: Context) -> dict[str, int]:
    return {"process": os.getpid(), "value": DATA[input.name][input.number]}


@limpet.task(name="fan-out-parent", input_validator=DataSet, sticky=StickyStrategy.SOFT)
async def parent(input: DataSet, ctx: Context) -> dict[str, Any]:
    DATA[input.name] = [n * n for n in range(input.parts)]
    children = [
        part.create_bulk_run_item(Part(name=input.name, number=n), sticky=True, child_key=f"part-{n}") for n in range(input.parts)
    ]
    results = await part.aio_run_many(children)
    return {"processes": sorted({os.getpid(), *(r["process"] for r in results)}), "sum": sum(r["value"] for r in results)}


worker = limpet.worker("sticky-fan-out", slots=20, workflows=[parent, part])

if __name__ == "__main__":
    worker.start()
