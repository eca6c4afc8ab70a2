"""An order that is approved, one that nobody answers for, and one that is withdrawn."""

import time

from worker import Order, approval, limpet

from limpet import V1TaskStatus


def has_begun_to_wait(run_id: str) -> bool:
    """Whether `approve` is there: events from before do not count."""
    return "approve" in limpet.runs.get_details(run_id).task_runs


def start(order: Order) -> str:
    run_id = approval.run_no_wait(order).workflow_run_id
    while not has_begun_to_wait(run_id):
        time.sleep(0.05)
    return run_id


def main() -> None:
    approved = start(Order(number=1, amount=250))
    limpet.event.push("order:approved", {"accepted": True, "by": "Ada"})
    print(limpet.runs.get_run_ref(approved).result()["file_away"]["order"])

    unanswered = start(Order(number=2, amount=20))
    limpet.event.push("order:approved", {"accepted": False, "by": "Bob"})
    print(limpet.runs.get_run_ref(unanswered).result()["file_away"]["order"])

    withdrawn = start(Order(number=3, amount=20))
    limpet.event.push("order:withdrawn", {})
    while limpet.runs.get_status(withdrawn) is not V1TaskStatus.CANCELLED:
        time.sleep(0.05)
    print("3 was withdrawn")


if __name__ == "__main__":
    main()
