"""Labels choose the worker: `train` demands a GPU, `report` prefers a cheap machine, and the caller may choose a zone.

Start several: `ROLE=gpu python worker.py`, `ROLE=cpu python worker.py`.
"""

import os

from limpet import Context, EmptyModel, Limpet
from limpet.labels import DesiredWorkerLabel

limpet = Limpet()
ROLE = os.environ.get("ROLE", "cpu")
LABELS: dict[str, dict[str, str | int]] = {
    "gpu": {"gpu": "yes", "memory": 64, "zone": "north"},
    "cpu": {"memory": 8, "zone": "south", "cheap": "yes"},
}


@limpet.task(name="train", desired_worker_labels={"gpu": DesiredWorkerLabel(value="yes", required=True)})
def train(input: EmptyModel, ctx: Context) -> dict[str, str]:
    return {"role": ROLE}


@limpet.task(name="report", desired_worker_labels={"cheap": DesiredWorkerLabel(value="yes", weight=200)})
def report(input: EmptyModel, ctx: Context) -> dict[str, str]:
    return {"role": ROLE}


worker = limpet.worker(f"gpu-routing-{ROLE}", slots=4, labels=LABELS[ROLE], workflows=[train, report])

if __name__ == "__main__":
    worker.start()
