"""How many no-op tasks with results a second, and how much CPU each costs, over all processes.

    python -m bench.throughput [--sdk limpet|hatchet_sdk] [--store sqlite|postgres] [--runs 3] [--bulk-tasks 8000]
                               [--single-tasks 4000]

One engine (SQLite with synchronous=FULL, or a PostgreSQL of its own on this machine with fsync), one worker process with 500
slots, one client process.
bulk:    bulk triggers of 100, 16 calls open, every result awaited
single:  100 callers, each awaiting one run after the other
"""

from __future__ import annotations

import argparse

from bench.processes import POSTGRES, SQLITE, Process, Stage, stage
from bench.programs.tasks import OFFICIAL, OURS
from bench.results import Report

SLOTS = 500
WARM_UP = {"do": "single", "tasks": 500, "callers": 50}
NAMES = {OURS: "throughput", OFFICIAL: "throughput_official"}


def measure(report: Report, scene: Stage, client: Process, name: str, runs: int, command: dict[str, int | str]) -> None:
    """Figures of one load shape."""
    tasks = int(command["tasks"])
    rates: list[float] = []
    costs: dict[str, list[float]] = {name: [] for name in scene.cpu_s()}
    for _ in range(runs):
        before = scene.cpu_s()
        rates.append(tasks / client.ask(**command)["seconds"])
        after = scene.cpu_s()
        for process, values in costs.items():
            values.append((after[process] - before[process]) * 1e3 / tasks)
    report.figure(f"{name}.tasks_per_s", rates, "/s")
    report.figure(f"{name}.cpu_ms_per_task", [sum(parts) for parts in zip(*costs.values(), strict=True)], "ms")
    for process, values in costs.items():
        report.figure(f"{name}.cpu_ms_per_task.{process}", values, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdk", choices=[OURS, OFFICIAL], default=OURS)
    parser.add_argument("--store", choices=[SQLITE, POSTGRES], default=SQLITE)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bulk-tasks", type=int, default=8_000)
    parser.add_argument("--single-tasks", type=int, default=4_000)
    options = parser.parse_args()
    report = Report(NAMES[options.sdk] + (f"_{POSTGRES}" if options.store == POSTGRES else ""))
    with stage(options.store) as scene:
        scene.worker(options.sdk, SLOTS)
        client = scene.client(options.sdk)
        client.ask(**WARM_UP)
        bulk: dict[str, int | str] = {"do": "bulk", "tasks": options.bulk_tasks, "items": 100, "open": 16}
        measure(report, scene, client, "bulk", options.runs, bulk)
        single: dict[str, int | str] = {"do": "single", "tasks": options.single_tasks, "callers": 100}
        measure(report, scene, client, "single", options.runs, single)
        report.figure("engine_rss_mb_at_end", [scene.engine.rss_mb()], "MB")
    report.save()


if __name__ == "__main__":
    main()
