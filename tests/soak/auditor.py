"""The auditor: compares what clients and workers wrote down with what the store says in the end. He asks no engine.

Each check is one function that yields a sentence for each violation.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from limpet.core.ids import TenantNo
from limpet.core.rows import RunStatus, TaskStatus
from limpet.store.api import Reader, RunQuery, RunRecord, Store
from limpet.store.sqlite import SqliteStore
from tests.soak import flow_audit
from tests.soak.programs.work import FAILS_BY_PLAN

PAGE = 1_000
HARD_WORKER_GONE = "HARD sticky"

Line = dict[str, Any]


@dataclass(slots=True)
class Evidence:
    """Lines of the journal by kind, and every run of the store by its id."""

    lines: dict[str, list[Line]]
    runs: dict[str, RunRecord]
    workers_were_killed: bool

    def of(self, *kinds: str) -> list[Line]:
        return [line for kind in kinds for line in self.lines.get(kind, ())]


def open_store(url: str) -> Store:
    """The store as a reader, after every server has gone."""
    if not url.startswith("postgresql:"):
        return SqliteStore(url)
    from limpet.store.postgres import PostgresStore  # needs the extra

    return PostgresStore(url, server_id="auditor")


async def read_runs(reader: Reader, tenant_no: TenantNo) -> dict[str, RunRecord]:
    """All runs, page by page, with their outputs."""
    found: dict[str, RunRecord] = {}
    while True:
        records, _ = await reader.runs(tenant_no, RunQuery(limit=PAGE, offset=len(found)))
        found.update((record.run.id, record) for record in records)
        if len(records) < PAGE:
            return found


def gather(lines: Sequence[Line], runs: dict[str, RunRecord], *, workers_were_killed: bool) -> Evidence:
    """Evidence from the journal's lines."""
    by_kind: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_kind[line["kind"]].append(line)
    return Evidence(by_kind, runs, workers_were_killed)


def violations(evidence: Evidence) -> list[str]:
    """Everything that does not hold."""
    checks = (
        *(_kept, _ended, _as_planned, _told_truly, _sent_once, _decided_by_the_last, _asked_once, _stays_on_its_worker),
        *flow_audit.CHECKS,
    )  # fmt: skip
    return [sentence for check in checks for sentence in check(evidence)]


def duplicates(evidence: Evidence) -> int:
    """Executions beyond the first of each task: retries by plan, and repetitions that faults explain."""
    starts = Counter(line["task"] for line in evidence.of("start"))
    return sum(count - 1 for count in starts.values())


def _kept(evidence: Evidence) -> Iterator[str]:
    for line in evidence.of("acknowledged"):
        if line["run"] not in evidence.runs:
            yield f"D1: run {line['run']} ({line['what']}) was acknowledged and is not in the store"


def _ended(evidence: Evidence) -> Iterator[str]:
    for record in evidence.runs.values():
        open_tasks = [task.id for task in record.tasks if not TaskStatus(task.status).is_terminal]
        if not RunStatus(record.run.status).is_terminal:
            yield f"L3: run {record.run.id} of {record.workflow.name} is {RunStatus(record.run.status).name} in the end"
        if RunStatus(record.run.status).is_terminal and open_tasks:
            yield f"G2: run {record.run.id} has ended, and its tasks {open_tasks} have not"


def _as_planned(evidence: Evidence) -> Iterator[str]:
    for record in evidence.runs.values():
        what, status = record.workflow.name.split("-", 1)[1], RunStatus(record.run.status)
        if not status.is_terminal or status is (RunStatus.FAILED if what in FAILS_BY_PLAN else RunStatus.COMPLETED):
            continue
        errors = [task.error for task in record.tasks if task.error]
        if what == "hard" and evidence.workers_were_killed and any(HARD_WORKER_GONE in error for error in errors):
            continue
        yield f"a run of {record.workflow.name} ended {status.name}, which nobody planned: {record.run.id} {errors[:2]}"


def _told_truly(evidence: Evidence) -> Iterator[str]:
    for line in evidence.of("result"):
        record = evidence.runs.get(line["run"])
        if record is not None and RunStatus(record.run.status) is not RunStatus.COMPLETED:
            yield f"E2: the client got a result of run {line['run']}, which the store holds as {RunStatus(record.run.status).name}"
    for line in evidence.of("failed"):
        record = evidence.runs.get(line["run"])
        if record is not None and RunStatus(record.run.status) is RunStatus.COMPLETED:
            yield f"E2: the client was told that run {line['run']} failed, which the store holds as completed: {line['error']}"
    for line in evidence.of("failed unplanned"):
        yield f"the client's wait for run {line['run']} ({line['what']}) failed: {line['error']}"


def _sent_once(evidence: Evidence) -> Iterator[str]:
    starts = Counter((line["task"], line["retry"]) for line in evidence.of("start"))
    for (task, retry), count in starts.items():
        if count > 1:
            yield f"R25: attempt {retry} of task {task} was started {count} times"


def _decided_by_the_last(evidence: Evidence) -> Iterator[str]:
    """T6: the stored output is the one of the attempt that the row counts as the last."""
    for record in evidence.runs.values():
        for task in record.tasks:
            if task.output and TaskStatus(task.status) is TaskStatus.COMPLETED:
                output = json.loads(task.output)
                if output.get("retry") != task.retry_count:
                    yield f"T6: task {task.id} ended in attempt {task.retry_count} with the output of attempt {output.get('retry')}"


def _asked_once(evidence: Evidence) -> Iterator[str]:
    """I5: Limpet's client repeats a call under one request id, so one number is one run."""
    counts: Counter[tuple[str, str]] = Counter()
    for record in evidence.runs.values():
        about = json.loads(record.run.metadata or b"{}")
        if about.get("client") == "limpet" and record.run.parent_run_id is None:
            counts[about["number"], record.workflow.name] += 1
    for (number, workflow), count in counts.items():
        if count > 1:
            yield f"I5: number {number} of Limpet's client was asked for once and made {count} runs of {workflow}"


def _stays_on_its_worker(evidence: Evidence) -> Iterator[str]:
    """P-HARD: the completed tasks of a HARD run ended on one worker."""
    for record in evidence.runs.values():
        if record.workflow.name.endswith("-hard"):
            workers = {task.worker_key for task in record.tasks if TaskStatus(task.status) is TaskStatus.COMPLETED}
            if len(workers) > 1:
                yield f"P-HARD: run {record.run.id} completed tasks on {len(workers)} workers"
