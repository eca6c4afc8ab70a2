"""One fault after another on one stage (reliability 3.3, 5, 6.3): first what can become of the owner, then of the database."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import grpc
import httpx
import pytest

from tests.cluster import witness
from tests.cluster.conftest import measured
from tests.cluster.records import until
from tests.cluster.slowness import hold_commits
from tests.cluster.stage import TAKE_OVER_S, Cluster
from tests.hostile.house import Worker, task
from tests.soak.stage import Child

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

HANDED_OVER_S = 2.0
BACK_AFTER_OUTAGE_S = 10.0  # L6
STREAMS_ENDED_S = 3.0  # spread over 2 s (R33), and what it takes to hear of the last


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def direct_worker(cluster: Cluster, server: Child, action: str) -> AsyncIterator[Worker]:
    """A worker that listens at one server, past the balancer, and does nothing by itself."""
    async with cluster.callers(server) as callers:
        await callers.workflow(action, task(action))
        yield await callers.worker(action)


async def test_T_KILL_ENGINE_a_killed_owner_is_replaced_within_ten_seconds(cluster: Cluster) -> None:
    """L5, R28: what runs goes on in its workers, and the engine's death is on nobody's account. The auditor looks for T12."""
    owner, running = cluster.the_owner(), await cluster.busy()
    before = await witness.lease(cluster.store)
    killed_at = now()
    owner.kill()
    assert owner.process is not None
    assert owner.process.returncode == -signal.SIGKILL
    await cluster.owned_by(cluster.other(owner))
    measured("take-over after kill -9", now() - killed_at)
    await cluster.serves()
    measured("both clients served after kill -9", now() - killed_at)
    assert (await witness.lease(cluster.store)).epoch == before.epoch + 1
    assert await witness.internal_retries(cluster.store, running) == {}
    await cluster.start_again(owner)


async def test_T_ZOMBIE_OWNER_a_frozen_owner_writes_nothing_when_it_wakes(cluster: Cluster) -> None:
    """O1, O2, O3: it steps down, stands by, names the owner, and the owner never notices."""
    owner, heir = cluster.the_owner(), cluster.other(cluster.the_owner())
    marks = {name: log.mark for name, log in cluster.logs.items()}
    frozen_at = now()
    async with cluster.frozen(owner):
        await cluster.owned_by(heir)
        measured("take-over from a frozen owner", now() - frozen_at)
        await cluster.serves()
        between = await witness.lease(cluster.store)
    await cluster.logged(owner, "engine.stepped_down", marks[owner.name])
    await cluster.logged(owner, "engine.stands_by", marks[owner.name])
    await cluster.serves()
    after = await witness.lease(cluster.store)
    assert (after.owner_id, after.epoch) == (between.owner_id, between.epoch)
    assert not cluster.has_logged(heir, "engine.stepped_down", marks[heir.name])
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{cluster.address(owner)[1]}/ready")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert cluster.address(heir)[0] in answer.text


async def test_T_HANDOVER_a_rolling_restart_fails_no_trigger(cluster: Cluster) -> None:
    """R33, R49, L5: each server is ended in order and started again; workers come back by themselves."""
    asked, restarted = cluster.seen.mark, cluster.restarted
    for _ in cluster.servers:
        owner = cluster.the_owner()
        heir = cluster.other(owner)
        await cluster.busy()
        async with direct_worker(cluster, owner, "handed-over") as worker:
            ended_at = now()
            owner.terminate()
            await cluster.owned_by(heir, within_s=HANDED_OVER_S)
            measured("hand-over after SIGTERM", now() - ended_at)
            assert await worker.stream.code() is grpc.StatusCode.UNAVAILABLE
            assert now() - ended_at < STREAMS_ENDED_S
        assert await owner.ended()
        assert owner.process is not None
        assert owner.process.returncode == 0
        await cluster.serves()
        measured("both clients served after SIGTERM", now() - ended_at)
        await cluster.start_again(owner)
    assert cluster.refused(asked) == []
    assert cluster.restarted == restarted


async def test_T_PART_owner_cut_from_the_database_but_not_from_its_workers(cluster: Cluster) -> None:
    """O2, R14, R33: it lets its workers go when its lease is over, so that they find the owner; mended, it stands by."""
    owner, heir = cluster.the_owner(), cluster.other(cluster.the_owner())
    mark = cluster.logs[owner.name].mark
    async with direct_worker(cluster, owner, "cut-off") as worker, cluster.cut_off(owner) as way:
        cut_at = now()
        await cluster.owned_by(heir)
        measured("take-over from an owner without its database", now() - cut_at)
        assert way.happened > 0
        assert await worker.stream.code() is grpc.StatusCode.UNAVAILABLE
        measured("streams ended by an owner without its database", now() - cut_at)
        assert now() - cut_at < TAKE_OVER_S + STREAMS_ENDED_S
        await cluster.serves()
    await cluster.logged(owner, "engine.stands_by", mark, within_s=2 * TAKE_OVER_S)
    assert cluster.the_owner() is heir


async def test_T_DB_RESTART_the_database_crashes_and_comes_back(cluster: Cluster) -> None:
    """L6: nobody is started again; whoever owns the store afterwards, what was acknowledged is there."""
    owner = cluster.the_owner()
    mark = cluster.logs[owner.name].mark
    await cluster.busy()
    await asyncio.to_thread(cluster.database.crash)
    await cluster.logged(owner, "store.trouble", mark)
    await asyncio.to_thread(cluster.database.start)
    back_at = now()
    assert any("was not properly shut down" in line for line in cluster.database.log)
    await cluster.ready(within_s=BACK_AFTER_OUTAGE_S)
    measured("ready after the database is back", now() - back_at)
    await cluster.serves()
    measured("both clients served after the database is back", now() - back_at)


@pytest.mark.slow
async def test_T_DB_RESTART_the_database_crashes_while_the_standby_takes_over(cluster: Cluster) -> None:
    """The lease counts on while the database is away; the standby owns the store soon after it is back."""
    owner = cluster.the_owner()
    heir, mark = cluster.other(owner), cluster.logs[cluster.other(owner).name].mark
    owner.kill()
    await asyncio.to_thread(cluster.database.crash)
    await cluster.logged(heir, "store.trouble", mark)
    await asyncio.to_thread(cluster.database.start)
    await cluster.owned_by(heir)
    await cluster.serves()
    await cluster.start_again(owner)


@pytest.mark.slow
async def test_T_DB_SLOW_commits_of_two_seconds_cost_no_worker_its_stream(cluster: Cluster) -> None:
    """R10, T-FSYNC-SLOW: heartbeats do not wait for commits, and an owner whose commits take long stays the owner."""
    before = await witness.lease(cluster.store)
    async with cluster.fleet(20) as fleet:
        held = await hold_commits(cluster.store, times=4, seconds=2.0)
        assert (fleet.late, fleet.endings) == ([], 0)
    assert held == 4
    after = await witness.lease(cluster.store)
    assert (after.owner_id, after.epoch) == (before.owner_id, before.epoch)
    assert after.seq >= before.seq + held


@pytest.mark.slow
async def test_T_HERD_two_hundred_workers_come_back_after_a_take_over(cluster: Cluster) -> None:
    """Within 15 s of it, and no heartbeat waits longer than clients do."""
    async with cluster.fleet(200) as fleet:
        owner = cluster.the_owner()
        owner.kill()
        await fleet.until(lambda listening: not listening)
        await cluster.owned_by(cluster.other(owner))
        taken_over_at = now()
        await fleet.all_back()
        measured("two hundred workers back after a take-over", now() - taken_over_at)
        assert fleet.late == []
    await cluster.start_again(owner)


@pytest.mark.slow
async def test_T_DB_CONN_others_take_every_connection_while_the_servers_lose_theirs(cluster: Cluster) -> None:
    """Nobody can write: both servers say what is wrong; when connections are free again, one of them owns the store."""
    owner = cluster.the_owner()
    log = cluster.logs[owner.name]
    mark = log.mark
    taken = await _every_connection(cluster.database.url())
    try:
        advice = "raise max_connections"
        await until(f"the owner says: {advice}", lambda: any(advice in str(one) for one in log.since(mark)), within_s=30.0)
    finally:
        for connection in taken:
            await connection.close()
    freed_at = now()
    await cluster.ready(within_s=BACK_AFTER_OUTAGE_S)
    await cluster.serves()
    measured("both clients served after connections were free again", now() - freed_at)


async def _every_connection(url: str) -> list[asyncpg.Connection]:
    """All that the database gives, those of the servers too: they are ended, and what they leave is taken."""
    taken = [await asyncpg.connect(url)]
    while True:
        try:
            taken.append(await asyncpg.connect(url))
        except asyncpg.TooManyConnectionsError:
            ended = await taken[0].fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'limpet %'"
            )
            if not ended:
                return taken
