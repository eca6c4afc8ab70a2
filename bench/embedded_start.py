"""What `limpet_engine` costs a test: start, the first task through a FakeWorker, stop; and what pytest pays at its start.

    python -m bench.embedded_start [--rounds 50]

Prints milliseconds: the import of the plugin (in a fresh process, over that of pytest), the first import of the
engine, then the median and the worst round. The bars: plugin 10 ms, start 50 ms.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

PLUGIN = (
    "import pytest, time; began = time.perf_counter(); import limpet.testing.plugin; print((time.perf_counter() - began) * 1e3)"
)
ENGINE = (
    "import limpet, time; began = time.perf_counter(); import limpet.testing.embedded; print((time.perf_counter() - began) * 1e3)"
)
PROCESSES = 5  # the first warms the file cache, the best of the rest counts


@dataclass
class Stopwatch:
    """Milliseconds of each step, by its name."""

    laps: dict[str, list[float]] = field(default_factory=dict)

    def time(self, name: str, step: Callable[[], object]) -> None:
        began = time.perf_counter()
        step()
        self.laps.setdefault(name, []).append((time.perf_counter() - began) * 1e3)

    def show(self) -> None:
        for name, laps in self.laps.items():
            print(f"{name:<28} median {statistics.median(laps):7.1f}   worst {max(laps):7.1f}")


def in_fresh_processes(code: str) -> float:
    """The least of the numbers that the code prints, each time in a process of its own."""
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(PROCESSES)]
    return min(float(run.stdout) for run in runs)


def one_round(watch: Stopwatch, with_http: bool) -> None:
    """An engine's whole life in a small test."""
    import urllib.request

    from limpet import Context, EmptyModel, Limpet
    from limpet.sdk.config import ClientConfig
    from limpet.testing import EmbeddedEngine, FakeWorker

    engine = EmbeddedEngine()
    watch.time("start", engine.start)
    client = Limpet(config=ClientConfig(token=engine.token))

    @client.task(name="bench")
    def bench(input: EmptyModel, ctx: Context) -> dict[str, object]:
        return {}

    def first_task() -> None:
        worker = FakeWorker(engine, "w1", [bench])
        reference = bench.run(EmptyModel(), wait_for_result=False)
        worker.work()
        engine.assert_ran_on(reference, worker)

    watch.time("worker and first task", first_task)
    if with_http:
        watch.time(
            "first HTTP call",
            lambda: urllib.request.urlopen(f"{engine.http_url}/api/v1/tenants/{engine.tenant_id}/worker").read(),
        )
    watch.time("stop after HTTP" if with_http else "stop", engine.stop)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--rounds", type=int, default=50)
    rounds: int = arguments.parse_args().rounds
    print(f"import of the plugin         {in_fresh_processes(PLUGIN):7.1f}")
    print(f"import of the engine, once   {in_fresh_processes(ENGINE):7.1f}")
    watch = Stopwatch()
    one_round(Stopwatch(), with_http=True)  # imports everything
    for _ in range(rounds):
        one_round(watch, with_http=False)
    for _ in range(max(1, rounds // 10)):
        one_round(watch, with_http=True)
    watch.show()


if __name__ == "__main__":
    main()
