"""How long a task takes on an idle engine: from the trigger call to the first line of its body, and to its result.

    python -m bench.latency [--runs 3] [--samples 300]

Our SDK, one worker process, one client process, SQLite with synchronous=FULL. A sample is one awaited run; 20 ms of
silence between samples.
"""

from __future__ import annotations

import argparse

from bench.processes import stage
from bench.programs.tasks import OURS
from bench.results import Report, percentile

WARM_UP = 50
PAUSE_S = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=300)
    options = parser.parse_args()
    report = Report("latency")
    with stage() as scene:
        scene.worker(OURS, slots=100)
        client = scene.client(OURS)
        client.ask(do="latency", samples=WARM_UP, pause_s=0.0)
        runs = [client.ask(do="latency", samples=options.samples, pause_s=PAUSE_S) for _ in range(options.runs)]
    for what in ("start", "result"):
        samples = [run[f"{what}_ms"] for run in runs]
        report.figure(f"{what}_p50_ms", [percentile(one, 0.5) for one in samples], "ms")
        report.figure(f"{what}_p99_ms", [percentile(one, 0.99) for one in samples], "ms")
        report.raw(f"{what}_ms", samples)
    report.save()


if __name__ == "__main__":
    main()
