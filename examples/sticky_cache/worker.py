"""Tasks of one run share a worker: what `load` puts into memory, `ask` finds there."""

import os

from pydantic import BaseModel

from limpet import Context, Limpet, StickyStrategy

limpet = Limpet()
CACHE: dict[str, list[int]] = {}  # a model, an index, a data frame: costly to make, useless elsewhere


class Document(BaseModel):
    name: str


session = limpet.workflow(name="sticky-cache-session", input_validator=Document, sticky=StickyStrategy.HARD)


@session.task()
def load(input: Document, ctx: Context) -> dict[str, int]:
    CACHE[input.name] = [ord(letter) for letter in input.name]
    return {"process": os.getpid()}


@session.task(parents=[load])
def ask(input: Document, ctx: Context) -> dict[str, int]:
    return {"process": os.getpid(), "sum": sum(CACHE[input.name])}


worker = limpet.worker("sticky-cache", slots=4, workflows=[session])

if __name__ == "__main__":
    worker.start()
