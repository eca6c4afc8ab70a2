"""An order that waits for somebody's approval, is dropped when nobody answers, and takes one of two ways by its amount."""

from datetime import timedelta

from pydantic import BaseModel

from limpet import Context, Limpet, ParentCondition, SleepCondition, UserEventCondition

limpet = Limpet()


class Order(BaseModel):
    number: int
    amount: int


approval = limpet.workflow(name="approval-order", input_validator=Order)


@approval.task()
def check(input: Order, ctx: Context) -> dict[str, int]:
    return {"amount": input.amount}


@approval.task(
    parents=[check],
    wait_for=[UserEventCondition("order:approved", "input.accepted", readable_data_key="approval")],
    skip_if=[SleepCondition(timedelta(seconds=3))],
    cancel_if=[UserEventCondition("order:withdrawn")],
)
def approve(input: Order, ctx: Context) -> dict[str, str]:
    return {"by": ctx.trigger_data["approval"]["by"]}


@approval.task(parents=[approve, check], skip_if=[ParentCondition(check, "output.amount > 100")])
def send_letter(input: Order, ctx: Context) -> dict[str, str]:
    return {"way": "letter"}


@approval.task(parents=[approve, check], skip_if=[ParentCondition(check, "output.amount <= 100")])
def send_parcel(input: Order, ctx: Context) -> dict[str, str]:
    return {"way": "parcel"}


@approval.task(parents=[approve, send_letter, send_parcel])
def file_away(input: Order, ctx: Context) -> dict[str, str]:
    sent = send_parcel if ctx.was_skipped(send_letter) else send_letter
    approved = "nobody" if ctx.was_skipped(approve) else ctx.task_output(approve)["by"]
    return {"order": f"{input.number} by {ctx.task_output(sent)['way']}, approved by {approved}"}


worker = limpet.worker("approval", slots=10, workflows=[approval])

if __name__ == "__main__":
    worker.start()
