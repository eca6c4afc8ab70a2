"""`python -m tests.simulation --seed N` replays one seed; `--seeds N` runs many, over all cores."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pool

from tests.simulation.world import simulate

CHUNK = 8  # seeds handed to a process at a time
SHOWN = 20  # failing seeds whose first line is printed
Outcome = tuple[int, str | None, Counter[str], int]


def outcome_of(seed: int) -> Outcome:
    """The seed, its failure if any, the faults that happened, and how many starts were executed."""
    try:
        world = simulate(seed)
    except Exception as error:
        lines = traceback.format_exception_only(error)
        where = traceback.extract_tb(error.__traceback__)[-1]
        return seed, f"{lines[0].strip()} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})", Counter(), 0
    return seed, None, world.weather.happened, sum(tenant.executions for tenant in world.tenants)


def run_many(seeds: Iterable[int], processes: int) -> tuple[list[Outcome], Counter[str], int]:
    """All failures, all faults together, and the number of executed starts."""
    failures, happened, executed = [], Counter[str](), 0
    with Pool(processes) as pool:
        for outcome in pool.imap_unordered(outcome_of, seeds, CHUNK):
            if outcome[1] is not None:
                failures.append(outcome)
                print(f"seed {outcome[0]}: {outcome[1]}\n  replay: python -m tests.simulation --seed {outcome[0]}", flush=True)
            happened.update(outcome[2])
            executed += outcome[3]
            if len(failures) >= SHOWN:
                break
    return failures, happened, executed


def main() -> int:
    """0 when every seed holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one and show where it fails")
    parser.add_argument("--seeds", type=int, default=200, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--digest", action="store_true", help="with --seed: print the digest of all decisions (D5)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.seed is not None:
        world = simulate(options.seed)
        print(world.digest() if options.digest else f"seed {options.seed} holds: {dict(world.weather.happened)}")
        return 0
    began = time.monotonic()
    failures, happened, executed = run_many(range(options.first, options.first + options.seeds), options.processes)
    print(f"{options.seeds} seeds, {executed} executions, {len(failures)} failures, {time.monotonic() - began:.0f} s")
    print("faults:", dict(sorted(happened.items())))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
