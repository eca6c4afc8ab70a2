"""All benchmarks, and the table of README.md from what they wrote.

python -m bench             print the table
python -m bench --write     put it into README.md
python -m bench --run       run everything first, then write: what `make bench` does
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import results
from bench.budgets import ROWS, Row

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"

# What is compared with each other stands side by side, so that a change of the machine's mood meets both.
ALL = (
    ("bench.startup",),
    ("bench.latency",),
    ("bench.floor",),
    ("bench.throughput",),
    ("bench.throughput", "--store", "postgres"),
    ("bench.throughput", "--sdk", "hatchet_sdk", "--bulk-tasks", "3000", "--single-tasks", "2000"),
    ("bench.backlog",),
    ("bench.workers",),
    ("bench.assignment",),
    ("bench.engine_loop", "--inputs", "60000"),
    ("bench.store_commit", "--waits"),
    ("bench.embedded_start",),
)


def table() -> str:
    """The rows, then what they were measured on."""
    lines = ["| Figure | Budget | Measured: median (spread, runs) | Why |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.budget} | {row.measured()} | {row.why} |" for row in ROWS]
    return "\n".join([*lines, "", *_provenance()])


def _provenance() -> Iterator[str]:
    """Machine, versions and load of each file that the table reads."""
    names = list(dict.fromkeys(row.file for row in ROWS))
    machine = results.load(names[0])["machine"]
    yield (
        f"Machine: {machine['cores']} cores {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}. "
        f"{machine['python']}, SQLite {machine['sqlite']}, "
        + ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
        + "."
    )
    yield ""
    yield "| Results | Command | Measured at | Load average before | Cores busy | Stolen by the host |"
    yield "|---|---|---|---|---|---|"
    for name in names:
        content = results.load(name)
        load = content["load"]
        yield (
            f"| [{name}](results/{name}.json) | `{content['command']}` | {content['measured_at']} "
            f"| {load['load_average_before']} | {load['busy']:.0%} | {load['stolen']:.1%} |"
        )


def write() -> None:
    """Replace the table of README.md."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, f"{README} has lost the markers of its table"
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}")


def run_all() -> None:
    """One benchmark after the other, each in a process of its own."""
    began = time.perf_counter()
    for module, *arguments in ALL:
        subprocess.run([sys.executable, "-m", module, *arguments], check=True)
    print(f"All in {time.perf_counter() - began:.0f} s.\n")


def missed() -> list[Row]:
    """Rows below what is required; a missed budget is no error, it is explained."""
    return [row for row in ROWS if not row.meets_requirement()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run everything first, then write")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    if options.run:
        run_all()
    if options.run or options.write:
        write()
    print(table())
    if found := missed():
        raise SystemExit("Required and missed: " + "; ".join(f"{row.what}: {row.measured()}" for row in found))


if __name__ == "__main__":
    main()
