"""PostgreSQL goes back in time under a running owner, as after a failover to a replica that lacked commits."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster import witness
from tests.cluster.conftest import stage_on
from tests.cluster.records import Line
from tests.cluster.stage import QUIET_WITHIN_S, RATES, SEED, TAKE_OVER_S, WORKERS, Cluster
from tests.postgres.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LOST_RUNS = 20  # acknowledged after the copy was made


def copy(source: Path, target: Path) -> None:
    """With owners and modes, which PostgreSQL insists on."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


async def stopped(database: Server, work: object) -> None:
    """Run something while the database does not run."""
    await asyncio.to_thread(database.stop)
    await asyncio.to_thread(work)  # type: ignore[arg-type]
    await asyncio.to_thread(database.start)


async def test_T_REWIND_an_older_copy_is_noticed_and_loaded_whole(tmp_path: Path, database: Server) -> None:
    """The owner steps down, loads what is there, and goes on; nothing of what it remembered gets mixed in."""
    older = database.folder / "older"
    async with stage_on(tmp_path, database, Cluster) as stage:
        await stage.start(dict(WORKERS), dict(RATES), SEED)
        await stage.serves()
        await stopped(database, lambda: copy(database.data, older))
        mark = stage.seen.mark
        await stage.serves()
        await stage.acknowledged(LOST_RUNS, mark)
        owner, before = stage.the_owner(), await witness.lease(stage.store)
        log = stage.logs[owner.name].mark

        def go_back() -> None:
            shutil.rmtree(database.data)
            older.rename(database.data)

        await stopped(database, go_back)
        told = await stage.logged(owner, "engine.stepped_down", log, within_s=TAKE_OVER_S)
        assert "older" in told["message"] or "stands at" in told["message"], told["message"]
        until = stage.seen.mark
        await stage.serves()
        assert (await witness.lease(stage.store)).epoch > before.epoch
        await _check(stage, stage.seen.all()[:mark], gone=stage.seen.all()[mark:until])


async def _check(stage: Cluster, before: list[Line], gone: list[Line]) -> None:
    """All that the lost time did not touch is as ever; of what it touched, what is in the store has ended."""
    await stage.stop_triggering()
    ended = await asyncio.gather(*(client.ended(QUIET_WITHIN_S) for client in stage.clients.values()))
    ended.append(await stage.quiet(QUIET_WITHIN_S))
    logs = {name: log.all() for name, log in stage.logs.items()}
    await stage.stop()
    assert all(ended)
    told = await witness.truth(stage.store)
    touched = {line["run"] for line in gone if "run" in line}
    acknowledged = {line["run"] for line in gone if line["kind"] == "acknowledged"}
    assert len(acknowledged - set(told.runs)) >= LOST_RUNS, "nothing was lost, so the store did not go back"
    kept = witness.without(told, touched)
    promised = [line for line in (*before, *gone) if line["kind"] in ("pushed", "scheduled")]  # whose runs may be touched
    journal = [line for line in stage.seen.all() if line.get("run") not in touched and line not in promised]
    assert witness.violations(kept, journal, logs) == []
    assert witness.unfinished(told) == []
