"""T-CLOCK: wall clocks jump while tasks run; the servers' own by their processes, the database's by what it compares with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.cluster import witness
from tests.cluster.conftest import audit, stage_on
from tests.cluster.stage import RATES, SEED, WORKERS, Cluster
from tests.postgres.server import Server
from tests.soak.balancer import Backend
from tests.soak.stage import Child

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

HOUR_S, DAY_S = 3_600, 86_400
MODULE = "limpet.cli.main"


class Shifted(Cluster):
    """A cluster whose servers see the wall clock that a file of theirs says."""

    def _server(self, backend: Backend) -> Child:
        child = super()._server(backend)
        at = child.command.index(MODULE)
        child.command[at:at] = ["tests.soak.programs.shifted", str(self._ahead(backend.name))]
        return child

    def jump(self, server: Child, seconds: int) -> None:
        """From now on its wall clock is that far ahead of the real one."""
        file = self._ahead(server.name)
        new = file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(file)

    def _ahead(self, name: str) -> Path:
        return self.folder / f"{name}.ahead"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory, database: Server) -> AsyncIterator[Shifted]:
    async with stage_on(tmp_path_factory.mktemp("clocks"), database, Shifted) as stage:
        await stage.start(dict(WORKERS), dict(RATES), SEED)
        yield stage
        await audit(stage)


async def test_T_CLOCK_jumps_of_a_servers_wall_clock_move_nothing(cluster: Shifted) -> None:
    """Nobody is taken from a worker, no task times out (the auditor knows the plan of each), the lease stays."""
    owner, running = cluster.the_owner(), await cluster.busy()
    before, mark = await witness.lease(cluster.store), cluster.logs[cluster.the_owner().name].mark
    for ahead in (HOUR_S, -HOUR_S, -DAY_S, 0):
        cluster.jump(owner, ahead)
        cluster.jump(cluster.other(owner), -ahead)
        await cluster.serves()
    after = await witness.lease(cluster.store)
    assert (after.owner_id, after.epoch) == (before.owner_id, before.epoch)
    assert await witness.internal_retries(cluster.store, running) == {}
    assert not cluster.has_logged(owner, "engine.stepped_down", mark)


@pytest.mark.parametrize("ahead", [HOUR_S, -HOUR_S], ids=["forward", "back"])
async def test_T_CLOCK_jumps_of_the_databases_clock_cost_a_take_over_at_most(cluster: Shifted, ahead: int) -> None:
    """The database's clock is only ever compared with the end of a lease: after a jump that end is as far on the other side.

    Forward, the lease has run out and either server may have it; back, the next renewal puts it right.
    """
    await cluster.busy()
    connection = await asyncpg.connect(cluster.store)
    try:
        await connection.execute("UPDATE limpet.leases SET expires_at = expires_at - $1 * interval '1 second'", ahead)
        await cluster.serves()
        left = await connection.fetchval(
            "SELECT max(extract(epoch FROM expires_at - clock_timestamp())) FROM limpet.leases WHERE NOT released AND seq > 0"
        )
    finally:
        await connection.close()
    assert 0 < left < HOUR_S / 2
