"""Documents are read one at a time for each customer: whoever sends many waits for himself, not the others for him."""

import time
from typing import Any

from pydantic import BaseModel

from limpet import ConcurrencyExpression, ConcurrencyLimitStrategy, Context, Limpet

limpet = Limpet()


class Document(BaseModel):
    customer: str
    number: int


one_per_customer = ConcurrencyExpression(
    expression="input.customer", max_runs=1, limit_strategy=ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN
)


@limpet.task(name="read-document", input_validator=Document, concurrency=one_per_customer)
def read(input: Document, ctx: Context) -> dict[str, Any]:
    began = time.time()
    time.sleep(0.1)
    return {"customer": input.customer, "number": input.number, "began": began, "ended": time.time()}


worker = limpet.worker("fair-lanes", slots=10, workflows=[read])

if __name__ == "__main__":
    worker.start()
