"""One order that needs a retry, and one that cannot succeed."""

from worker import Order, invoice

from limpet import FailedTaskRunExceptionGroup


def main() -> None:
    print("total:", invoice.run(Order(amount=3))["total"]["cents"], "cents")
    try:
        invoice.run(Order(amount=3, poisoned=True))
    except FailedTaskRunExceptionGroup as error:
        print("failed:", str(error.exceptions[0]).splitlines()[0])


if __name__ == "__main__":
    main()
