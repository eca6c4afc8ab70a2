"""Run both tasks, then send a report to the north by a label of this one run."""

from worker import report, train

from limpet import EmptyModel, TriggerWorkflowOptions
from limpet.labels import DesiredWorkerLabel


def main() -> None:
    print("train ran on:", train.run(EmptyModel())["role"])
    print("report ran on:", report.run(EmptyModel())["role"])
    north = TriggerWorkflowOptions(desired_worker_label={"zone": DesiredWorkerLabel(value="north", required=True)})
    print("report in the north ran on:", report.run(EmptyModel(), options=north)["role"])


if __name__ == "__main__":
    main()
