"""Transcripts: a script, and below each of its lines everything that the core decided.

A file holds lines that start with `> ` (the script), lines that start with `#` (words for the reader), and indented
lines: the reaction. `python -m tests.core.transcript --rewrite` (`make transcripts`) writes the reactions anew; read
the difference before you commit it.

    > workflow W a b<a sticky=hard          tasks with their parents; options of a task in brackets: a(retries=2,slots=3)
    > worker w1 actions=a,b slots=2         without actions: all that are declared; STARTED is sent by `started`
    > trigger W priority=3 on=w1            runs are named W#1, W#2 …; their tasks W#1.a
    > complete a / fail W#1.a / advance 31s
    > workflow W a limit=user:2:newest      concurrency: expression, how many, rr|newest|progress; of a task a(limit=user:2+team)
    > workflow W a limit=user:2:rr:bank     the same, shared by a name
    > trigger W keys=user:ada               the values of expressions; an expression that is not named is its own value
    > workflow W a b(wait=5s+@paid|^a:big)<a   conditions (wait, skip, cancel): sleeps, events with @, outputs with ^; + and, | or
    > complete a yes=big / push paid yes=big   the expressions that are true; all others are false

Labels are written key=value, with a weight as key=value~10 and as a demand key=value!; integers are integers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from limpet.core.condition_rows import WaitRow, decode_seen
from limpet.core.conditions import Condition
from limpet.core.decision import CancelTask, CloseStreams, Decision, Delivery, RunFinished, StartTask, TaskChanged
from limpet.core.definition_text import decode_definition
from limpet.core.definitions import (
    ConcurrencyLimit,
    DesiredLabel,
    LabelValue,
    LimitStrategy,
    StickyStrategy,
    TaskDefinition,
)
from limpet.core.errors import LimpetError
from limpet.core.rows import EventType, PinState, RunRow, RunStatus, TaskRow, TaskStatus, WorkerRow
from limpet.core.settings import HardStickyPolicy, RetryPriority, Settings
from limpet.core.state import RECEIPT
from limpet.testing.builders import event, make_task, output_of, sleep, us
from limpet.testing.scenario import START, Scenario

FOLDER = Path(__file__).parent / "transcripts"
PROMPT = "> "
_TASK = re.compile(r"(?P<name>[\w-]+)(?:\((?P<options>[^)]*)\))?(?:<(?P<parents>[\w,-]+))?")
_SECONDS = re.compile(r"([\d.]+)s")
STRATEGIES = {
    "rr": LimitStrategy.GROUP_ROUND_ROBIN,
    "progress": LimitStrategy.CANCEL_IN_PROGRESS,
    "newest": LimitStrategy.CANCEL_NEWEST,
}
_CHOICES = {"hard_sticky_policy": HardStickyPolicy, "retry_priority": RetryPriority}


def seconds(text: str) -> float:
    found = _SECONDS.fullmatch(text)
    assert found is not None, f"{text!r} is no duration; write it like 2.5s"
    return float(found[1])


def value_of(text: str) -> LabelValue:
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def label_of(text: str) -> DesiredLabel:
    """`zone=a!`, `fast=1~50`."""
    key, _, rest = text.partition("=")
    wanted, _, weight = rest.rstrip("!").partition("~")
    return DesiredLabel(key, value_of(wanted), rest.endswith("!"), int(weight or 100))


def limit_of(word: str) -> ConcurrencyLimit:
    """`limit=user:2:newest:bank`: an expression, how many, rr (default), newest or progress, and the name that it is shared by."""
    expression, max_runs, strategy, name = (word.removeprefix("limit=").split(":") + [""] * 3)[:4]
    return ConcurrencyLimit(
        expression, int(max_runs or "1"), STRATEGIES[strategy or "rr"], name=name, is_shared=bool(name)
    )  # fmt: skip


def groups_of(text: str) -> list[list[Condition]]:
    """`5s+@paid:big|^a:big`: groups of alternatives."""
    return [[condition_of(one) for one in group.split("|")] for group in text.split("+") if group]


def condition_of(word: str) -> Condition:
    """`5s`, `@paid`, `@paid:expression`, `^parent:expression`."""
    subject, _, expression = word[1:].partition(":")
    if word[0] == "@":
        return event(subject, expression)
    return output_of(subject, expression) if word[0] == "^" else sleep(seconds(word))


def answers_of(words: list[str]) -> dict[str, bool]:
    """`yes=big`: what expressions give."""
    return {text: True for text in options_of(words).get("yes", "").split(",") if text}


def options_of(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if "=" in word)


class Player:
    """Plays the lines of a script on a scenario and says what followed."""

    def __init__(self) -> None:
        self.s = Scenario(checks_reload=True)
        self.said = 0
        self.wake_at: int | None = None
        self.run_names: dict[int, str] = {}
        self.verbs: dict[str, Callable[[list[str]], list[str]]] = {
            "settings": self.settings,
            "workflow": self.workflow,
            "worker": self.worker,
            "trigger": self.trigger,
            "explain": self.explain,
            "timeline": self.timeline,
            "cancel": lambda words: self.taken(self.s.cancel(*map(self.id_of, words))),
            "replay": lambda words: self.taken(self.s.replay(*map(self.id_of, words))),
            "advance": lambda words: self.plain(self.s.advance, seconds(words[0])),
            "restart": lambda words: self.restart(),
            "push": lambda words: self.plain(self.s.push, words[0], answers=answers_of(words)),
            "label": lambda words: self.plain(self.s.label, words[0], **{k: value_of(v) for k, v in options_of(words).items()}),
        }

    def play(self, line: str) -> Iterator[str]:
        """The reaction to one line of a script."""
        verb, *words = line.split()
        try:
            yield from self.verbs[verb](words) if verb in self.verbs else self.method(verb, words)
        except LimpetError as refusal:
            yield f"refused, {type(refusal).__name__}: {self.readable(str(refusal))}"
        yield from self.reaction()

    def plain(self, what: Callable[..., object], *args: object, **named: object) -> list[str]:
        what(*args, **named)
        return []

    # Verbs

    def settings(self, words: list[str]) -> list[str]:
        changes: dict[str, object] = {}
        for name, text in options_of(words).items():
            if name in _CHOICES:
                changes[name] = _CHOICES[name](text)
            else:
                changes[name] = us(seconds(text)) if text.endswith("s") else int(text)
        self.s.settings = self.s.machine.state.settings = replace(Settings(), **changes)  # type: ignore[arg-type]
        return []

    def workflow(self, words: list[str]) -> list[str]:
        named = {k: v for k, v in options_of(words[1:]).items() if k in ("sticky", "priority", "on_failure", "limit")}
        tasks = [task_of(word) for word in words[1:] if word.partition("=")[0] not in named]
        reply = self.s.workflow(
            words[0],
            *tasks,
            sticky=StickyStrategy[named["sticky"].upper()] if "sticky" in named else None,
            priority=int(named["priority"]) if "priority" in named else None,
            on_failure=named.get("on_failure"),
            concurrency=[limit_of(word) for word in words[1:] if word.startswith("limit=")],
        )
        return [f"version {'made' if reply.created else 'known'}"]

    def worker(self, words: list[str]) -> list[str]:
        given = options_of(words[1:])
        pools = {
            kind: int(units) for kind, _, units in (part.partition(":") for part in given.get("slots", "100").split("+")) if units
        }
        labels = dict(part.split("=") for part in given.get("labels", "").split(",") if part)
        self.s.worker(
            words[0],
            given["actions"].split(",") if "actions" in given else None,
            slots=pools or int(given.get("slots", "100")),
            labels={key: value_of(value) for key, value in labels.items()},
            confirms=False,
        )
        return []

    def trigger(self, words: list[str]) -> list[str]:
        given = options_of(words[1:])
        self.s.trigger(
            words[0],
            priority=int(given["priority"]) if "priority" in given else None,
            desired_worker=given.get("on"),
            labels=[label_of(given["label"])] if "label" in given else (),
            parent=self.id_of(given["parent"]) if "parent" in given else None,
            child_key=given.get("child_key"),
            keys=dict(part.split(":", 1) for part in given.get("keys", "").split(",") if part),
        )
        return []

    def explain(self, words: list[str]) -> list[str]:
        answer = self.s.explain(self.id_of(words[0]))
        lines = [f"{answer.outlook.value}, {answer.reason.value}: {answer.text}"]
        lines += [f"  {one.worker_name}: {one.text}" for one in answer.verdicts]
        lines += [f"  help: {one}" for one in answer.unblock]
        return [self.readable(line) for line in lines]

    def timeline(self, words: list[str]) -> list[str]:
        return [
            self.readable(
                f"{clock(m.at)} #{m.attempt} {m.type.name}{f' {m.worker}' if m.worker else ''}{f': {m.message}' if m.message else ''}"
            )
            for m in self.s.timeline(self.id_of(words[0]))
        ]

    def taken(self, ids: tuple[str, ...]) -> list[str]:
        return ["taken on: " + (", ".join(self.readable(one) for one in ids) or "nothing")]

    def restart(self) -> list[str]:
        self.s.restart()
        return []

    def method(self, verb: str, words: list[str]) -> list[str]:
        """Verbs that are named like the scenario's: started, complete, fail, kill, pause, release_slot …"""
        given = options_of(words)
        answers = answers_of(words)
        given.pop("yes", None)
        subject = words[0] if words[0] in self.s.workers else self.id_of(words[0])
        named: dict[str, object] = {"answers": answers} if answers else {}
        for key, text in given.items():
            named[key] = (
                int(text)
                if key == "attempt"
                else seconds(text)
                if key == "seconds"
                else text == "yes"
                if text in ("yes", "no")
                else text
            )
        return self.plain(getattr(self.s, verb), subject, **named)

    def id_of(self, name: str) -> str:
        """`W#1`, `W#1.a`, or `a` for the newest run's."""
        run_name, _, task = name.rpartition(".") if "." in name else (name, "", "")
        for key, known in self.run_names.items():
            if known == run_name:
                run = self.s.tables.runs[key].id
                return self.s.task(task, run).id if task else run
        return self.s.task(name).id

    # The reaction

    def reaction(self) -> Iterator[str]:
        """Everything decided since the last time, and when time alone matters next."""
        at = None
        for when, decision in self.s.log.decisions[self.said :]:
            lines = list(self.lines_of(decision))
            if lines and when != at and when != self.started_at:
                yield f"at {clock(when)}"
                at = when
            yield from lines
        self.said = len(self.s.log.decisions)
        self.started_at = self.s.now
        if self.s.machine.wake_at != self.wake_at:
            self.wake_at = self.s.machine.wake_at
            yield "wakes " + ("never" if self.wake_at is None else f"at {clock(self.wake_at)}")

    started_at: int = START

    def lines_of(self, decision: Decision) -> Iterator[str]:
        changes = decision.changes
        for worker in changes.workers:
            yield self.readable(f"row worker {worker.name}: {worker_text(worker)}")
        for key in changes.workers_forgotten:
            yield f"row worker {key} deleted"
        for run in [*changes.runs_opened, *changes.runs_changed]:
            yield self.readable(f"row run {self.run_name(run.key)}: {run_text(run)}")
        for task in [*changes.tasks_opened, *changes.tasks_changed]:
            yield self.readable(f"row task {self.task_name(task.key)}: {self.task_text(task)}")
        for wait in changes.waits:
            yield self.readable(f"row wait {self.step_name(wait.run_key, wait.step)}: {wait_text(wait)}")
        for receipt in changes.receipts:
            named = (f"{self.task_name(key)}#{attempt}" for key, attempt, _ in RECEIPT.iter_unpack(receipt.items))
            yield f"row receipt: {', '.join(named)}"
        for _ in changes.receipts_folded:
            yield "row receipt deleted"
        for row in changes.events:
            where = f" {self.worker_name(row.worker_key)}" if row.worker_key else ""
            what = f"event {self.task_name(row.task_key)}#{row.retry_count} {EventType(row.type).name}{where}"
            yield self.readable(f"{what}{f': {row.message}' if row.message else ''}")
        for delivery in decision.deliveries:
            yield self.readable(self.delivery_text(delivery))
        for cause, count in decision.stale.items():
            yield f"stale: {cause}, {count}"

    def delivery_text(self, delivery: Delivery) -> str:
        match delivery:
            case StartTask():
                return f"send start {self.task_name(delivery.task_key)}#{delivery.retry_count} to {delivery.worker_id}"
            case CancelTask():
                return f"send cancel {delivery.task_run_id}#{delivery.retry_count} to {delivery.worker_id}"
            case CloseStreams():
                return f"close streams of {delivery.worker_id}: {delivery.reason}"
            case RunFinished():
                results = " ".join(f"{one.name}={one.status.name}" for one in delivery.results)
                return f"tell finished {self.run_name(delivery.run_key)} {delivery.status.name}: {results}"
            case TaskChanged():
                return f"tell watchers {delivery.task_run_id}#{delivery.retry_count} {delivery.status.name}"

    def task_text(self, task: TaskRow) -> str:
        parts = [TaskStatus(task.status).name]
        parts += [f"on {self.worker_name(task.worker_key)}"] if task.worker_key else []
        parts += [f"#{task.retry_count}"]
        parts += [f"retries={task.app_retries}"] if task.app_retries else []
        parts += [f"reassigned={task.internal_retries}"] if task.internal_retries else []
        parts += [f"level={task.level}"] if task.level > 1 else []
        parts += [f"until={clock(task.not_before)}"] if task.not_before else []
        parts += [f"admitted={task.stage}"] if task.stage else []
        parts += ["released"] if task.slots_released and TaskStatus(task.status).is_live else []
        parts += [f"error: {task.error}"] if task.error else []
        return " ".join(parts)

    def run_name(self, key: int) -> str:
        if key not in self.run_names:
            run = self.s.tables.runs[key]
            name = self.s.tables.workflows[run.workflow_key].name
            count = sum(known.startswith(f"{name}#") for known in self.run_names.values())
            self.run_names[key] = f"{name}#{count + 1}"
        return self.run_names[key]

    def task_name(self, key: int) -> str:
        row = self.s.tables.tasks[key]
        return f"{self.run_name(row.run_key)}.{self.s.name_of(row)}"

    def step_name(self, run_key: int, step: int) -> str:
        """Of a task that may not exist yet."""
        run = self.s.tables.runs[run_key]
        definition = decode_definition(self.s.tables.versions[run.version_key].definition)
        return f"{self.run_name(run_key)}.{definition.steps[step].name}"

    def worker_name(self, key: int) -> str:
        return self.s.tables.workers[key].name

    def readable(self, text: str) -> str:
        """Names instead of ids."""
        for worker in self.s.workers.values():
            text = text.replace(f"{worker.name} ({worker.id})", worker.name).replace(worker.id, worker.name)
        for task in self.s.tables.tasks.values():
            text = text.replace(task.id, self.task_name(task.key))
        return text


def task_of(word: str) -> TaskDefinition:
    """`b(retries=2,slots=3,label=gpu=yes!)<a`."""
    found = _TASK.fullmatch(word)
    assert found is not None, f"{word!r} is no task"
    options = options_of((found["options"] or "").split(","))
    return make_task(
        found["name"],
        *(found["parents"] or "").split(",") if found["parents"] else (),
        retries=int(options.get("retries", "0")),
        slots=int(options.get("slots", "1")),
        backoff=float(options["backoff"]) if "backoff" in options else None,
        backoff_max=seconds(options["backoff_max"]) if "backoff_max" in options else None,
        schedule_timeout=seconds(options["schedule"]) if "schedule" in options else None,
        execution_timeout=seconds(options["timeout"]) if "timeout" in options else None,
        labels=[label_of(options["label"])] if "label" in options else (),
        concurrency=[limit_of(one) for one in options.get("limit", "").split("+") if one],
        wait_for=groups_of(options.get("wait", "")),
        skip_if=groups_of(options.get("skip", "")),
        cancel_if=groups_of(options.get("cancel", "")),
    )


def clock(at: int) -> str:
    """Seconds since the scenario's beginning."""
    return f"{(at - START) / 1_000_000:g}s"


def worker_text(worker: WorkerRow) -> str:
    """What of a worker's row tells its state."""
    parts = [f"slots {worker.slots.decode()}", f"labels {worker.labels.decode()}"]
    parts += ["paused"] if worker.paused else []
    parts += ["lost"] if worker.lost_at is not None else []
    parts += ["gone"] if worker.gone_at is not None else []
    return ", ".join(parts)


def wait_text(wait: WaitRow) -> str:
    """What a wait's row tells: since when, until when, and which conditions were seen to hold or not."""
    parts = [f"armed {clock(wait.armed_at)}"] if wait.armed_at is not None else []
    parts += [f"decided {clock(wait.decided_at)}"] if wait.decided_at is not None else []
    parts += [f"{place} {'holds' if seen.is_met else 'does not hold'}" for place, seen in decode_seen(wait.seen).items()]
    return ", ".join(parts) or "nothing is known"


def run_text(run: RunRow) -> str:
    """What of a run's row tells its state."""
    pin = f", pin {PinState(run.pin_state).name} {run.pin_worker_id}" if run.pin_state != PinState.UNSET else ""
    admitted = f", admitted {run.stage}" if run.stage else ""
    return f"{RunStatus(run.status).name}{f', priority {run.priority}' if run.priority > 1 else ''}{pin}{admitted}"


def perform(text: str) -> str:
    """The transcript with its reactions as the core gives them now."""
    player, lines = Player(), []
    for line in text.splitlines():
        if line.startswith(PROMPT):
            lines.append(line)
            lines += [f"    {said}" for said in player.play(line.removeprefix(PROMPT))]
        elif not line.startswith("    "):
            lines.append(line)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Rewrite every transcript (`--rewrite`), or name those that differ."""
    differ = []
    for path in sorted(FOLDER.glob("*.txt")):
        old = path.read_text(encoding="utf-8")
        new = perform(old)
        if old != new:
            differ.append(path.name)
            if "--rewrite" in sys.argv:
                path.write_text(new, encoding="utf-8")
    print("\n".join(differ) or "All transcripts are as the core behaves.")
    sys.exit(bool(differ) and "--rewrite" not in sys.argv)


if __name__ == "__main__":
    main()
