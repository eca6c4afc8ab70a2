"""A graph: two sources in parallel, one of them flaky, a step that joins them, and a task that runs when all fails."""

from datetime import timedelta

from pydantic import BaseModel

from limpet import Context, Limpet, NonRetryableException

limpet = Limpet()


class Order(BaseModel):
    amount: int
    poisoned: bool = False


invoice = limpet.workflow(name="dag-invoice", input_validator=Order)


@invoice.task(execution_timeout=timedelta(seconds=10))
def price(input: Order, ctx: Context) -> dict[str, int]:
    return {"cents": input.amount * 100}


@invoice.task(retries=3, backoff_factor=1.0)
def tax(input: Order, ctx: Context) -> dict[str, int]:
    if input.poisoned:
        raise NonRetryableException("the tax office does not know this order")
    if ctx.retry_count == 0:
        raise ConnectionError("the tax office hung up; the second attempt gets through")
    return {"cents": input.amount * 19}


@invoice.task(parents=[price, tax])
def total(input: Order, ctx: Context) -> dict[str, int]:
    return {"cents": ctx.task_output(price)["cents"] + ctx.task_output(tax)["cents"]}


@invoice.on_failure_task()
def apologise(input: Order, ctx: Context) -> dict[str, list[str]]:
    return {"sorry_for": sorted(ctx.task_run_errors)}


worker = limpet.worker("dag-with-retries", slots=4, workflows=[invoice])

if __name__ == "__main__":
    worker.start()
