"""What each figure shall be, where it is found, and why it is what it is.

A budget is a wish with a reason, a requirement is a promise: `python -m bench` fails when a requirement is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import results

UNARY = "one gRPC call for each receipt and outcome, about 0.2 ms of the engine's thread each"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    figures:  names in the file; the measured column shows them in this order
    divided:  a ratio instead: figure by figure of (file, name)
    compares: say how many times the first figure the second one is
    at_least, at_most: the requirement, of the first figure's median
    """

    what: str
    budget: str
    file: str
    figures: Sequence[str]
    why: str
    divided: tuple[str, str] | None = None
    compares: bool = False
    at_least: float | None = None
    at_most: float | None = None

    def measured(self) -> str:
        """Median, spread, runs."""
        if self.divided is not None:
            return f"{self._median(self.figures[0]) / _figure(*self.divided)['median']:.2g}"
        shown = "; ".join(_shown(_figure(self.file, name)) for name in self.figures)
        return f"{shown}: {self._median(self.figures[1]) / self._median(self.figures[0]):.2f} x" if self.compares else shown

    def meets_requirement(self) -> bool:
        """Whether what is promised holds."""
        median = self._median(self.figures[0])
        return (self.at_least is None or median >= self.at_least) and (self.at_most is None or median <= self.at_most)

    def _median(self, name: str) -> float:
        return float(_figure(self.file, name)["median"])


def _figure(file: str, name: str) -> dict[str, Any]:
    figure: dict[str, Any] = results.load(file)["figures"][name]
    return figure


def _shown(figure: dict[str, Any]) -> str:
    unit = figure["unit"] if figure["unit"].startswith("/") else f" {figure['unit']}"
    count = len(figure["runs"])
    spread = f" ({figure['min']:g} to {figure['max']:g}, {count})" if count > 1 else ""
    return f"{figure['median']:g}{unit}{spread}".strip()


_startup, _latency = partial(Row, file="startup"), partial(Row, file="latency")
_ours, _theirs = partial(Row, file="throughput"), partial(Row, file="throughput_official")
_postgres = partial(Row, file="throughput_postgres")
_backlog, _workers, _core = partial(Row, file="backlog"), partial(Row, file="workers"), partial(Row, file="assignment")

ROWS = (
    _ours(
        what="tasks with results, our SDK, bulk triggers of 100, one worker process",
        budget="12,000/s, 0.10 ms CPU; required 500/s", figures=("bulk.tasks_per_s", "bulk.cpu_ms_per_task"), at_least=500,
        why=f"our SDK speaks the official contract: {UNARY}, instead of batched frames",
    ),
    _ours(
        what="of that CPU: engine, worker, client", budget="",
        figures=tuple(f"bulk.cpu_ms_per_task.{name}" for name in ("engine", "worker", "client")),
        why="engine: three fifths in its event loop's thread, most of it gRPC; worker: three fifths is sending reports",
    ),
    _ours(
        what="the same by the floor of bare row writes", budget="0.12", figures=("bulk.tasks_per_s",),
        divided=("floor", "lives_per_s"), why="the store waits for the calls, not the calls for the store",
    ),
    _postgres(
        what="the same on PostgreSQL, on the same two cores", budget="9,000/s, 0.13 ms CPU",
        figures=("bulk.tasks_per_s", "bulk.cpu_ms_per_task"), why="as on SQLite; and PostgreSQL takes its share (next line)",
    ),
    _postgres(
        what="of that CPU: engine, worker, client, PostgreSQL", budget="",
        figures=tuple(f"bulk.cpu_ms_per_task.{name}" for name in ("engine", "worker", "client", "database")),
        why="one round trip a commit, of one function; a receipt, an outcome and a start are rows of it",
    ),
    Row(
        what="floor: bare rows into SQLite, three writes each, 200 a commit", budget="", file="floor", figures=("lives_per_s",),
        why="what the disk and SQLite give without anything around them",
    ),
    _ours(
        what="100 callers, each awaiting single runs", budget="5,000/s",
        figures=("single.tasks_per_s", "single.cpu_ms_per_task"),
        why=f"a trigger call each, then {UNARY}, and a read of the store for each awaited run",
    ),
    _latency(
        what="idle engine: trigger to the first line of the task, p50 and p99", budget="3 / 8 ms; required p50 20 ms",
        figures=("start_p50_ms", "start_p99_ms"), at_most=20,
        why="one commit, two gRPC hops and three thread hops between gRPC's threads and the event loops of our SDK",
    ),
    _latency(
        what="idle engine: trigger to the result, p50 and p99", budget="5 / 10 ms", figures=("result_p50_ms", "result_p99_ms"),
        why="a second commit, and the receipt's commit before it",
    ),
    _theirs(
        what="official Python SDK, bulk triggers of 100", budget="700/s", figures=("bulk.tasks_per_s", "bulk.cpu_ms_per_task"),
        why="limited by the client: its worker uses more CPU than all of the engine (next line)",
    ),
    _theirs(
        what="of that CPU: engine, worker, client", budget="",
        figures=tuple(f"bulk.cpu_ms_per_task.{name}" for name in ("engine", "worker", "client")),
        why="two cores for everything: the engine's share is what each call costs in grpc.aio",
    ),
    _theirs(
        what="official Python SDK, 100 callers, each awaiting single runs", budget="",
        figures=("single.tasks_per_s", "single.cpu_ms_per_task"), why="as above, with a trigger call for each run",
    ),
    _startup(
        what="`limpet dev` ready, in memory", budget="1.0 s; required 2 s", figures=("memory.ready_s",), at_most=2,
        why="imports: protobuf messages, grpc, pydantic, Starlette, typer",
    ),
    _startup(
        what="`limpet dev --store FILE` ready, new file", budget="1.0 s; required 2 s", figures=("sqlite.ready_s",), at_most=2,
        why="the same, and the file with its tables",
    ),
    _startup(what="idle memory: in memory", budget="100 MB", figures=("memory.idle_rss_mb",), why="the interpreter and the libraries it serves with"),
    _startup(what="idle memory: SQLite", budget="100 MB", figures=("sqlite.idle_rss_mb",), why="the same, and SQLite"),
    _backlog(
        what="100,000 queued tasks: engine memory above 10,000 queued", budget="100 MB at 1 M",
        figures=("rss_mb_above_10000_queued", "engine_rss_mb"),
        why="queued tasks stay in memory, next line each (decision 0014); the rest is SQLite's page cache and recent payloads, "
        "both bounded at 64 MiB",
    ),
    _core(
        what="memory of one queued task in the core", budget="100 B", figures=("bytes_per_queued_task",),
        why="a run, a task, their ids, a queue entry and a timer as Python objects",
    ),
    _backlog(
        what="results a second, one worker with 100 slots: 2,000 and 100,000 queued", budget="at least 0.90 x",
        figures=("few_queued.results_per_s", "many_queued.results_per_s"), compares=True,
        why="limited by our SDK and the calls; the engine's CPU a task hardly differs (next line), commits touch a larger file",
    ),
    _backlog(
        what="of that, the engine's CPU a task", budget="",
        figures=("few_queued.engine_cpu_ms_per_task", "many_queued.engine_cpu_ms_per_task"), compares=True, why="as above",
    ),
    _core(
        what="core, CPU a task: 1,000 and 100,000 queued", budget="at most 1.1 x",
        figures=("plain.10_workers.1000_queued.us_per_task", "plain.10_workers.100000_queued.us_per_task"), compares=True, why="a heap for each kind of tasks: a longer one is a little deeper, and colder in the CPU\'s caches",
    ),
    _backlog(
        what="bulk triggers of 1,000, nobody there to work", budget="", figures=("triggers_per_s",),
        why="one commit a call: what the engine takes when gRPC is out of the way",
    ),
    _backlog(
        what="ready again after `kill -9` with 100,000 queued", budget="10 s", figures=("ready_again_after_kill_s",),
        why="all open work is read into memory before anybody is let in",
    ),
    _core(
        what="core, CPU a task: 10 and 1,000 workers, no wishes", budget="at most 3 x",
        figures=("plain.10_workers.1000_queued.us_per_task", "plain.1000_workers.1000_queued.us_per_task"), compares=True, why="a heap of candidates for each filter: choosing is logarithmic",
    ),
    _core(
        what="core, CPU a task: 10 and 1,000 workers, labels demanded and preferred", budget="at most 3 x",
        figures=("labels.10_workers.1000_queued.us_per_task", "labels.1000_workers.1000_queued.us_per_task"), compares=True, why="80 kinds of wishes, each with its own heap of candidates",
    ),
    _workers(
        what="engine CPU a task, raw streams with labels: 10 and 1,000 connected", budget="at most 3 x",
        figures=("10_workers.engine_cpu_ms_per_task", "1000_workers.engine_cpu_ms_per_task"), compares=True,
        why="250 heartbeats a second and less batching on 1,000 streams",
    ),
    _workers(
        what="tasks a second over those streams: 10 and 1,000", budget="",
        figures=("10_workers.tasks_per_s", "1000_workers.tasks_per_s"), compares=True,
        why="limited by the process that plays all workers",
    ),
    _workers(
        what="engine memory with 1,000 streams", budget="", figures=("1000_workers.engine_rss_mb",),
        why="about 50 kB a worker: its stream, buffers and record",
    ),
)  # fmt: skip
