"""How one run, and one explanation, read on a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from limpet.cli.failures import headline, traceback_lines
from limpet.cli.printing import JsonObject, cell_text, moment, pairs, print_line, print_table, printable, span

TASK_COLUMNS = ("task", "status", "attempt", "worker", "took", "id")
EVENT_COLUMNS = ("when", "task", "event", "worker", "message")
OUTPUT_CHARACTERS_MAX = 2_000  # more belongs into a file: --json prints everything
MARGIN = " " * 11  # where the value of a fact begins


def print_run(details: JsonObject, workers: Mapping[str, str]) -> None:
    """A run, its tasks and its timeline. `workers`: names by id; an id without one is shown as it is."""
    run = details["run"]
    print_fact("Run", run["metadata"]["id"])
    print_fact("Workflow", details["workflowConfig"]["name"])
    print_fact("Status", run["status"])
    print_fact("Created", moment(run.get("createdAt")))
    print_fact("Took", span(run.get("duration")))
    print_fact("Metadata", pairs(run.get("additionalMetadata")))
    print_fact("Input", shortened(run["input"]))
    if run.get("errorMessage"):
        print_error(run["errorMessage"])
    else:
        print_fact("Output", shortened(run["output"]))
    names = {task["taskExternalId"]: task["taskName"] for task in details["shape"]}
    events = sorted(details["taskEvents"], key=lambda event: (event["timestamp"], event["id"]))
    places = {event["taskId"]: workers.get(event["workerId"], event["workerId"]) for event in events if event.get("workerId")}
    print_line()
    print_table(TASK_COLUMNS, [task_row(task, names, places) for task in details["tasks"]], empty="This run has no tasks yet.")
    for task in details["tasks"]:
        if task.get("waitsFor"):
            print_line(f"{names.get(task['taskExternalId'], task['displayName'])}: {printable(task['waitsFor'])}")
    print_line()
    rows = [event_row(event, names, workers, day_of(run.get("createdAt"))) for event in events]
    print_table(EVENT_COLUMNS, rows, empty="Nothing has happened to it yet.")


def print_error(text: str) -> None:
    """Why a run failed, and where."""
    print_fact("Error", headline(text))
    for line in traceback_lines(text):
        print_line(f"{MARGIN}{printable(line)}")


def task_row(task: JsonObject, names: Mapping[str, str], places: Mapping[str, str]) -> tuple[object, ...]:
    """One task of a run; `places`: where it ran last."""
    identity = task["taskExternalId"]
    return (
        names.get(identity, task["displayName"]),
        task["status"],
        task.get("attempt") or (task.get("retryCount") or 0) + 1,
        places.get(identity),
        span(task.get("duration")),
        identity,
    )


def event_row(event: JsonObject, names: Mapping[str, str], workers: Mapping[str, str], day: str) -> tuple[object, ...]:
    """One line of the timeline. Of an instant on `day` only the clock is shown."""
    error, worker = event.get("errorMessage"), event.get("workerId")
    return (
        moment(event["timestamp"], "milliseconds").removeprefix(f"{day} "),
        names.get(event["taskId"], event["taskId"]),
        event["eventType"],
        workers.get(worker, worker) if worker else None,
        headline(error) if error else event["message"],
    )


def day_of(instant: str | None) -> str:
    """The date of an instant, as `moment` writes it."""
    return moment(instant).partition(" ")[0]


def print_explanation(answer: JsonObject) -> None:
    """Why a task waits: the sentence, what each worker says, what would help."""
    print_line(f"{answer['taskRunId']}: {cell_text(answer['text'])}")
    print_fact("Reason", answer["reason"])
    print_fact("Outlook", answer["outlook"])
    if answer.get("workerId"):
        print_fact("Worker", f"{answer.get('workerName') or ''} {answer['workerId']}".strip())
    if answer.get("position") is not None:
        print_fact("Position", answer["position"])
    verdicts = answer.get("verdicts") or []
    if verdicts:
        print_line()
        print_table(("worker", "says", "workers"), [verdict_row(verdict) for verdict in verdicts], empty="")
        print_line()
    for step in answer.get("unblock") or ():
        print_line(f"  What would help: {cell_text(step)}")


def verdict_row(verdict: JsonObject) -> tuple[object, ...]:
    """What one worker, or many that say the same, say to a task."""
    return verdict.get("workerName") or verdict.get("workerId"), verdict["text"], verdict.get("count", 1)


def print_fact(name: str, value: object) -> None:
    """One named line of a page."""
    print_line(f"{name + ':':10} {cell_text(value)}")


def shortened(value: Any) -> str:
    """A payload on one line, cut where it would fill the screen."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= OUTPUT_CHARACTERS_MAX:
        return text
    return f"{text[:OUTPUT_CHARACTERS_MAX]}... ({len(text)} characters; --json prints all)"
