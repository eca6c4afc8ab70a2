"""The auditor finds what is planted: an auditor who finds nothing may be blind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest

from limpet.core.ids import SECOND_US
from limpet.core.rows import RunStatus, TaskStatus
from limpet.store.api import RunRecord
from tests.soak.auditor import Line, gather, violations
from tests.soak.programs.flow import LIMITED_AT_ONCE, LIMITED_KEYS, METERED_PER_S
from tests.store.builders import Rows

EVENT = "an-event"


class Story:
    """Runs as a store has them, with what their worker wrote."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.runs: list[RunRecord] = []
        self.lines: list[Line] = []

    def run(self, what: str, number: int, at_s: float, seconds: float = 1.0) -> None:
        """One of the official client's, done after so many seconds."""
        about = {"client": "official", "number": str(number), "hatchet__event_id": EVENT}
        workflow = self.rows.workflow(name=f"official-{what}")
        row = self.rows.run(metadata=json.dumps(about).encode(), status=RunStatus.COMPLETED)
        at = int(at_s * SECOND_US)
        task = self.rows.task(row, status=TaskStatus.COMPLETED, output=b'{"retry": 0}', assigned_at=at)
        self.runs.append(RunRecord(row, workflow, self.rows.version(workflow), [task]))
        for kind, at in (("start", at_s), ("done", at_s + seconds)):
            self.line(kind, task=task.id, retry=0, at=at)

    def line(self, kind: str, **facts: object) -> None:
        self.lines.append({"kind": kind, "client": "official", **facts})

    def found(self) -> list[str]:
        runs = {record.run.id: record for record in self.runs}
        return violations(gather(self.lines, runs, workers_were_killed=False))


def fine(story: Story) -> None:
    """Everything is kept to, and just so."""
    for number in range(LIMITED_AT_ONCE + 1):
        story.run("limited", LIMITED_KEYS * number, at_s=10.0 + (number == LIMITED_AT_ONCE))
    for number in range(2 * METERED_PER_S + 1):
        story.run("metered", number, at_s=20.0 + (number == 2 * METERED_PER_S))
    for what in ("heard", "heard-too"):
        story.run(what, 1, at_s=30.0)
    story.line("pushed", event=EVENT, number=1)
    story.run("later", 1, at_s=40.0)
    story.line("scheduled", number=1)


def too_many_at_once(story: Story) -> None:
    story.run("limited", 0, at_s=10.5)


def too_many_in_a_window(story: Story) -> None:
    story.run("metered", 99, at_s=20.5)


def heard_twice(story: Story) -> None:
    story.run("heard", 1, at_s=31.0)


def never_heard(story: Story) -> None:
    story.line("pushed", event="another-event", number=2)


def never_started(story: Story) -> None:
    story.line("scheduled", number=2)


@pytest.mark.parametrize(
    ("plant", "rules"),
    [
        (None, []), (too_many_at_once, ["C1"]), (too_many_in_a_window, ["RL1"]), (heard_twice, ["E1"]),
        (never_heard, ["E1", "E1"]), (never_started, ["F7.4"]),
    ],
)  # fmt: skip
def test_what_is_planted_is_found_and_nothing_else(plant: Callable[[Story], None] | None, rules: Iterable[str]) -> None:
    story = Story()
    fine(story)
    if plant is not None:
        plant(story)
    assert [sentence.partition(":")[0] for sentence in story.found()] == rules
