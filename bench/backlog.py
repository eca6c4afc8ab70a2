"""What 100,000 waiting tasks cost: the engine's memory, the rate at which they leave, and the start after a kill.

    python -m bench.backlog [--queued 100000] [--collected 2000] [--runs 3]

Our SDK, SQLite with synchronous=FULL, one worker with 100 slots. The tasks are triggered while no worker is there. The
rate is that of results once the worker is back: with 2,000 tasks waiting, then with 100,000. At the end the engine is
killed with SIGKILL and started again on its file.
"""

from __future__ import annotations

import argparse
import time

from bench.processes import Engine, Process, Stage, stage
from bench.programs.tasks import OURS
from bench.results import Report

SLOTS = 100  # a worker's default; nearly everything waits
ITEMS = 1_000
BASE = 10_000  # memory is counted above that many
SETTLES_S = 1.0


def rates(scene: Stage, client: Process, tasks: int, runs: int) -> tuple[list[float], list[float]]:
    """Results a second while the worker is there, several times; and the engine's CPU in ms for each."""
    worker = scene.worker(OURS, SLOTS)
    found, costs = [], []
    for _ in range(runs):
        before = scene.engine.cpu_s()
        found.append(tasks / client.ask(do="collect", tasks=tasks)["seconds"])
        costs.append((scene.engine.cpu_s() - before) * 1e3 / tasks)
    worker.end()
    scene.await_active_workers(0)
    return found, costs


def fill(scene: Stage, client: Process, tasks: int) -> tuple[float, float]:
    """Trigger; returns tasks a second and the engine's memory afterwards."""
    seconds = client.ask(do="trigger", tasks=tasks, items=ITEMS)["seconds"]
    time.sleep(SETTLES_S)
    return tasks / seconds, scene.engine.rss_mb()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--collected", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    report = Report("backlog")
    with stage() as scene:
        client = scene.client(OURS)
        first = scene.worker(OURS, SLOTS)  # registers the task; leaves again
        first.end()
        scene.await_active_workers(0)
        few: tuple[list[float], list[float]] = ([], [])
        for _ in range(options.runs):
            fill(scene, client, options.collected)
            for values, more in zip(few, rates(scene, client, options.collected, 1), strict=True):
                values += more
        report.figure("few_queued.results_per_s", few[0], "/s")
        report.figure("few_queued.engine_cpu_ms_per_task", few[1], "ms")
        _, base_mb = fill(scene, client, BASE)
        trigger_rate, full_mb = fill(scene, client, options.queued - BASE)
        report.figure("triggers_per_s", [trigger_rate], "/s")
        report.figure("engine_rss_mb", [full_mb], "MB")
        report.figure(f"rss_mb_above_{BASE}_queued", [full_mb - base_mb], "MB")
        many = rates(scene, client, options.collected, options.runs)
        report.figure("many_queued.results_per_s", many[0], "/s")
        report.figure("many_queued.engine_cpu_ms_per_task", many[1], "ms")
        scene.engine.popen.kill()
        scene.engine.end()
        again = Engine(scene.folder)
        report.figure("ready_again_after_kill_s", [again.ready_s], "s")
        report.figure("rss_mb_after_restart", [again.rss_mb()], "MB")
        again.end()
    report.save()


if __name__ == "__main__":
    main()
