"""How long `limpet dev` takes until it is ready, and how much memory it holds then.

    python -m bench.startup [--runs 7]

From the start of the process to its ready line on standard output; resident memory two seconds later, with no client.
One run before the others is not counted: it brings the files into the system's cache.
"""

from __future__ import annotations

import argparse
import time

from bench.processes import Engine, temporary_folder
from bench.results import Report

SETTLES_S = 2.0  # imports that are put off until after the ready line are done


def start_once(*, in_memory: bool) -> tuple[float, float]:
    """Seconds until ready, and MB after that."""
    with temporary_folder() as folder:
        engine = Engine(folder, in_memory=in_memory)
        time.sleep(SETTLES_S)
        memory_mb = engine.rss_mb()
        engine.end()
    return engine.ready_s, memory_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    report = Report("startup")
    start_once(in_memory=False)
    for name, in_memory in (("memory", True), ("sqlite", False)):
        runs = [start_once(in_memory=in_memory) for _ in range(options.runs)]
        report.figure(f"{name}.ready_s", [ready_s for ready_s, _ in runs], "s")
        report.figure(f"{name}.idle_rss_mb", [memory_mb for _, memory_mb in runs], "MB")
    report.save()


if __name__ == "__main__":
    main()
