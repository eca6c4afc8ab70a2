"""How one run, and one explanation, read on a terminal."""

from __future__ import annotations

import json
from typing import Any

from limpet.cli.printing import JsonObject, cell_text, moment, pairs, print_line, print_table, span

TASK_COLUMNS = ("task", "name", "status", "attempt", "started", "took")
EVENT_COLUMNS = ("when", "task", "event", "worker", "message")
OUTPUT_CHARACTERS_MAX = 2_000  # more belongs into a file: --json prints everything


def print_run(details: JsonObject) -> None:
    """A run, its tasks and its timeline."""
    run = details["run"]
    print_fact("Run", run["metadata"]["id"])
    print_fact("Workflow", run["displayName"])
    print_fact("Status", run["status"])
    print_fact("Created", moment(run.get("createdAt")))
    print_fact("Took", span(run.get("duration")))
    print_fact("Metadata", pairs(run.get("additionalMetadata")))
    print_fact("Input", shortened(run["input"]))
    if run.get("errorMessage"):
        print_fact("Error", run["errorMessage"])
    else:
        print_fact("Output", shortened(run["output"]))
    print_table(TASK_COLUMNS, [task_row(task) for task in details["tasks"]], empty="This run has no tasks yet.")
    names = {task["taskExternalId"]: task["displayName"] for task in details["tasks"]}
    events = sorted(details["taskEvents"], key=lambda event: (event["timestamp"], event["id"]))
    print_table(EVENT_COLUMNS, [event_row(event, names) for event in events], empty="Nothing has happened to it yet.")


def task_row(task: JsonObject) -> tuple[object, ...]:
    """One task of a run."""
    attempt = task.get("attempt") or (task.get("retryCount") or 0) + 1
    return (
        task["taskExternalId"],
        task["displayName"],
        task["status"],
        attempt,
        moment(task.get("startedAt")),
        span(task.get("duration")),
    )


def event_row(event: JsonObject, names: dict[str, str]) -> tuple[object, ...]:
    """One line of the timeline."""
    name = event.get("taskDisplayName") or names.get(event["taskId"], event["taskId"])
    return (
        moment(event["timestamp"]),
        name,
        event["eventType"],
        event.get("workerId"),
        event.get("errorMessage") or event["message"],
    )


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
        print_table(("worker", "says", "workers"), [verdict_row(verdict) for verdict in verdicts], empty="")
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
