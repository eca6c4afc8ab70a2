"""One slot, two workflows: the higher priority goes first, whatever the workflow; equal ones keep their order."""

import time
from typing import Any

from pydantic import BaseModel

from limpet import Context, Limpet

limpet = Limpet()


class Job(BaseModel):
    label: str
    seconds: float = 0.05


@limpet.task(name="newsletter", default_priority=1, input_validator=Job)
def newsletter(input: Job, ctx: Context) -> dict[str, Any]:
    time.sleep(input.seconds)
    return {"label": input.label, "at": time.time()}


@limpet.task(name="password-reset", default_priority=3, input_validator=Job)
def password_reset(input: Job, ctx: Context) -> dict[str, Any]:
    time.sleep(input.seconds)
    return {"label": input.label, "at": time.time()}


worker = limpet.worker("priority-lanes", slots=1, workflows=[newsletter, password_reset])

if __name__ == "__main__":
    worker.start()
