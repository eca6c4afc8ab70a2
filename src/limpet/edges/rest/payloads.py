"""Inputs and outputs in answers: fetched in one batch, spliced in as bytes, and never more than an answer can carry.

Law: what does not fit is left out whole and the answer says so, with its size and where to read it. An empty or cut
payload that could pass for the real one is never shown (X26).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from limpet.core.rows import SKIPPED_OUTPUT, RunRow, TaskRow, TaskStatus
from limpet.store.api import Reader

ANSWER_PAYLOAD_BYTES_MAX = 16 * 1024 * 1024  # all payloads of one answer; five of the largest (X15)
EMPTY = orjson.Fragment(b"{}")
WHITESPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Shown:
    """A run and those of its tasks that an answer shows; each shows the run's input once more."""

    run: RunRow
    tasks: Sequence[TaskRow]


@dataclass(frozen=True)
class Payloads:
    """The payloads of one answer, by row key. What is withheld is in neither mapping."""

    inputs: Mapping[int, bytes] = field(default_factory=dict)
    rows: Mapping[int, TaskRow] = field(default_factory=dict)
    withheld_inputs: frozenset[int] = frozenset()
    withheld_outputs: frozenset[int] = frozenset()

    def input(self, run: RunRow) -> orjson.Fragment:
        """The run's input as an object."""
        return object_of(self.inputs.get(run.key))

    def output(self, task: TaskRow) -> orjson.Fragment:
        """The task's output as an object; that of a skipped one says so."""
        return object_of(self.output_bytes(task))

    def output_bytes(self, task: TaskRow) -> bytes | None:
        """The output as it was reported; None when there is none or it is withheld."""
        if task.status == TaskStatus.SKIPPED:
            return SKIPPED_OUTPUT
        row = self.rows.get(task.key)
        return None if row is None or task.key in self.withheld_outputs else row.output or None

    def error(self, task: TaskRow) -> str | None:
        """The error text; failed tasks always have one."""
        row = self.rows.get(task.key, task)
        return row.error if row.error is not None else task.error

    def withheld(self, run: RunRow, tasks: Iterable[TaskRow]) -> str | None:
        """The sentence about what was left out of these, if anything was."""
        parts = [f"the input of {run.input_bytes} bytes"] if run.key in self.withheld_inputs else []
        parts += [
            f"the output of {task.output_bytes} bytes of task {task.id}" for task in tasks if task.key in self.withheld_outputs
        ]
        if not parts:
            return None
        return f"{', '.join(parts)} did not fit into this answer: read the task by itself at /api/v1/stable/tasks/<id>"


async def read_payloads(reader: Reader, shown: Sequence[Shown], *, wanted: bool = True) -> Payloads:
    """The payloads of one answer; not wanted ones are not read, errors always are."""
    inputs, outputs = fitting(shown) if wanted else (set(), set())
    tasks = {task.key: task for each in shown for task in each.tasks}
    lacking_inputs = [each.run for each in shown if each.run.key in inputs and each.run.input is None]
    lacking_rows = [task for key, task in tasks.items() if lacks(task, output=key in outputs)]
    read_inputs, read_rows = await reader.payloads(lacking_inputs, lacking_rows) if lacking_inputs or lacking_rows else ({}, {})
    own = {each.run.key: each.run.input for each in shown if each.run.input is not None and each.run.key in inputs}
    all_inputs, all_outputs = wishes(shown) if wanted else ({}, {})
    return Payloads(
        inputs={**own, **read_inputs},
        rows={key: read_rows.get(key, task) for key, task in tasks.items() if key in outputs or key in read_rows},
        withheld_inputs=frozenset(all_inputs) - inputs,
        withheld_outputs=frozenset(all_outputs) - outputs,
    )


def lacks(task: TaskRow, *, output: bool) -> bool:
    """Whether the row must be read again for what this answer shows of it."""
    return (output and task.output is None) or (task.status == TaskStatus.FAILED and task.error is None)


def wishes(shown: Sequence[Shown]) -> tuple[dict[int, int], dict[int, int]]:
    """Bytes that each input and each output would add to the answer, by row key."""
    inputs: dict[int, int] = {}
    for each in shown:
        if each.run.input_bytes:
            inputs[each.run.key] = inputs.get(each.run.key, 0) + each.run.input_bytes * (1 + len(each.tasks))
    outputs = {task.key: task.output_bytes for each in shown for task in each.tasks if task.output_bytes}
    return inputs, outputs


def fitting(shown: Sequence[Shown]) -> tuple[set[int], set[int]]:
    """The runs and tasks whose payloads fit, the smallest first: the largest are those that are left out."""
    inputs, outputs = wishes(shown)
    candidates = [(size, True, key) for key, size in inputs.items()] + [(size, False, key) for key, size in outputs.items()]
    kept: tuple[set[int], set[int]] = (set(), set())
    left = ANSWER_PAYLOAD_BYTES_MAX
    for size, is_input, key in sorted(candidates):
        if size > left:
            break
        left -= size
        kept[0 if is_input else 1].add(key)
    return kept


def object_of(data: bytes | None) -> orjson.Fragment:
    """A payload where the wire wants an object: nothing is `{}`, and another kind of value sits under `value`."""
    if not data:
        return EMPTY
    text = data.lstrip(WHITESPACE)
    if text == b"null" or not text:
        return EMPTY
    return orjson.Fragment(text if text.startswith(b"{") else b'{"value":' + text + b"}")
