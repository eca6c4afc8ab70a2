"""`python -m tests.soak`: mixed load under random kills, one seed; ends with 1 when anything acknowledged was lost or untrue.

The report says which faults happened, how many runs there were, what was lost (nothing), and how long take-overs took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from limpet.core.ids import TenantNo
from limpet.store.api import Store
from tests.compatibility.programs import journal
from tests.soak import auditor
from tests.soak.chaos import Chaos
from tests.soak.database import Postgres
from tests.soak.stage import Stage

WORKERS = {"limpet-1": "limpet", "limpet-2": "limpet", "official-1": "official"}
QUIET_WITHIN_S = 120.0
TENANT = TenantNo(1)


async def soak(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole story; returns the report."""
    database = Postgres() if arguments.store == "postgres" else None
    if database is not None:
        database.start()
    url = database.url if database else str(folder / "soak.db")
    switched: list[tuple[float, str | None]] = []
    stage = Stage(folder, url, 2 if database else 1, switched)
    chaos = Chaos(stage, database, Random(arguments.seed), arguments.every)
    try:
        await stage.start(WORKERS, {"limpet": arguments.rate, "official": arguments.rate / 3}, arguments.seed)
        await chaos.run(arguments.seconds)
        await stage.until_ready()
        await stage.stop_triggering()
        ended = await asyncio.gather(*(client.ended(QUIET_WITHIN_S) for client in stage.clients.values()))
        ended.append(await stage.quiet(QUIET_WITHIN_S))
        await stage.stop()
        runs = await _runs(auditor.open_store(url))
    finally:
        await stage.stop()
        if database is not None:
            database.remove()
    lines = journal.read(str(stage.journal))
    evidence = auditor.gather(lines, runs, workers_were_killed=bool(chaos.killed_workers))
    found = auditor.violations(evidence)
    if not all(ended):
        found.append(f"a client still waited for results, or a run had not ended, {QUIET_WITHIN_S:g} s after the last fault")
    return {
        "store": arguments.store,
        "seed": arguments.seed,
        "seconds": arguments.seconds,
        "faults": dict(sorted(chaos.happened.items())),
        "workers started again": stage.restarted,
        "workers replaced because they hung": stage.replaced,
        "acknowledged": len(evidence.of("acknowledged")),
        "events": len(evidence.of("pushed")),
        "scheduled": len(evidence.of("scheduled")),
        "refused": len(evidence.of("refused")),
        "runs": len(runs),
        "executions": len(evidence.of("start")),
        "repeated executions": auditor.duplicates(evidence),
        "take-over seconds": _take_overs(chaos.owner_lost_at, switched),
        "violations": found,
    }


async def _runs(store: Store) -> dict[str, Any]:
    await store.open()
    try:
        return await auditor.read_runs(store.reader, TENANT)
    finally:
        await store.close()


def _take_overs(lost_at: list[float], switched: list[tuple[float, str | None]]) -> dict[str, float]:
    """From the death of the owner to a server that is ready."""
    spans = []
    for at in lost_at:
        back = [when for when, name in switched if when > at and name is not None]
        if back:
            spans.append(back[0] - at)
    return {} if not spans else {"median": round(median(spans), 1), "longest": round(max(spans), 1), "count": len(spans)}


def main() -> int:
    """0 when nothing was lost and nothing was untrue."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults go on")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="postgres")
    parser.add_argument(
        "--rate", type=float, default=12.0, help="triggers a second of Limpet's client; the official one makes a third"
    )
    parser.add_argument("--every", type=float, default=4.0, help="mean seconds between two faults")
    parser.add_argument("--keep", type=Path, help="a folder for journals and logs, kept afterwards")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="limpet-soak-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        report = asyncio.run(soak(arguments, folder))
    print(json.dumps(report, indent=2))
    print(f"{report['runs']} passed, {len(report['violations'])} failed")
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
