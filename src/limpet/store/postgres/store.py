"""A store in a PostgreSQL database, for as many engines as like to share it; each group of tenants has one owner (R11).

Laws:
1. A commit is one call of one function, fences first, on one of a few direct connections (`commit.py`).
2. Nothing else takes a connection from a commit: the owner's reads, pages, logs and upkeep have lanes of their own.
3. What this server believes to own is what it claimed and committed; a load checks it against the lease (R16d).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import uuid4

from limpet._version import __version__
from limpet.core.ids import SECOND_US, TenantId, TenantNo
from limpet.core.needs import Found, Needs, Snapshot
from limpet.store.address import SCHEMA, Address
from limpet.store.api import (
    READ_SECONDS_MAX,
    Batch,
    CommitOutcomeUnknown,
    Fence,
    Fences,
    GroupNo,
    Holder,
    LogLine,
    Quarantined,
    Reader,
    StoreStats,
    Tenant,
    Token,
)
from limpet.store.postgres import commit, owner, ownership, schema
from limpet.store.postgres.commit import Written
from limpet.store.postgres.lane import PAGES, Lane, Link, Traffic
from limpet.store.postgres.logs import Logs
from limpet.store.postgres.ownership import CLAIM_LOCK_SECONDS, Cluster
from limpet.store.postgres.reader import PostgresReader
from limpet.store.postgres.retention import Retention
from limpet.store.postgres.statements import Sql
from limpet.store.postgres.upkeep import Upkeep

LEASE_US = 6 * SECOND_US  # R14: an owner that is dead is replaced after this; a living one renews every 2 s
COMMIT_CONNECTIONS = 4  # R17; one commit is under way at a time, the others wait for a lost one to be made anew
OWNER_CONNECTIONS = 3  # a load, a look-up, and payloads at the same time
PAGE_CONNECTIONS = 4  # slow pages leave some for the others
LOG_CONNECTIONS = 2  # one writes, one reads
COMMIT_SECONDS = 10.0  # R17: beyond the worst commit, below the patience of clients
UPKEEP_SECONDS = 120.0  # a day of millions of rows is counted in less
WRITES_WAITING_MAX = 1_000  # commits come one at a time; the rest are small calls
READS_WAITING_MAX = 200  # pages that wait for a connection; the next one is told to try again
LOGS_WAITING_MAX = 100  # batches of whatever size their maker chose; beyond that they are dropped with a counter

# Reads by known keys take the index, whatever the statistics of a new partition say.
BY_INDEX = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}

COMMITS = Traffic("commits", COMMIT_CONNECTIONS, WRITES_WAITING_MAX, COMMIT_SECONDS, is_kept=True)
CLAIMS = Traffic("claims", 1, WRITES_WAITING_MAX, COMMIT_SECONDS, lock_seconds=CLAIM_LOCK_SECONDS)
OWNERS = Traffic("owner", OWNER_CONNECTIONS, WRITES_WAITING_MAX, COMMIT_SECONDS, settings=BY_INDEX)
READS = Traffic(PAGES, PAGE_CONNECTIONS, READS_WAITING_MAX, READ_SECONDS_MAX, settings={"plan_cache_mode": "force_custom_plan"})
LOGS = Traffic("logs", LOG_CONNECTIONS, LOGS_WAITING_MAX, COMMIT_SECONDS, settings={"synchronous_commit": "off"})
UPKEEP = Traffic("upkeep", 1, WRITES_WAITING_MAX, UPKEEP_SECONDS, idle_in_transaction_seconds=10.0)
POOLED_READS = Traffic(PAGES, PAGE_CONNECTIONS, READS_WAITING_MAX, READ_SECONDS_MAX, pooled=True)


class PostgresStore:
    """`Store` over a database; all its tables are in one schema.

    url:          as asyncpg understands it; a direct connection, no pooler
    server_id:    the name of this engine among those that share the store; made up when it has none
    address:      where it answers calls; may be set until the store is claimed
    reads_url:    the same database through a transaction pooler, for pages
    auto_migrate: bring an older schema up to date at open, instead of asking for `limpet db migrate`
    steps:        the schema this store works with; the newest, but for tests of migrations
    """

    at: Address
    server_id: str
    stats: StoreStats
    upkeep: Upkeep
    retention: Retention
    reader: Reader
    lease_us: int | None

    def __init__(
        self, url: str, *, schema_name: str = SCHEMA, server_id: str | None = None, address: str = "",
        reads_url: str | None = None, lease_us: int = LEASE_US, auto_migrate: bool = False, steps: schema.Steps | None = None,
    ) -> None:  # fmt: skip
        self.at = Address(url, schema_name)
        self.server_id = server_id or str(uuid4())
        self.address = address
        self.stats = StoreStats()
        self.lease_us = lease_us
        self._lease_us = lease_us
        self._auto_migrate = auto_migrate
        self._steps = schema.newest() if steps is None else steps
        self._owned: dict[GroupNo, Fence] = {}
        self._is_in_doubt = False  # since a commit lost its answer, until the fences are read
        sql = Sql(schema_name)
        lane = partial(Lane, self.at, sql, server_id=self.server_id)
        self._commits, self._claims = lane(COMMITS, greet=self._greet), lane(CLAIMS, greet=self._greet)
        self._owner, self._upkeep_lane = lane(OWNERS), lane(UPKEEP)
        pages = lane(READS) if reads_url is None else Lane(Address(reads_url, schema_name), sql, POOLED_READS)
        self._pages, self._log_lane = pages, lane(LOGS)
        self._logs = Logs(self._log_lane)
        self.upkeep = Upkeep(self._upkeep_lane)
        self.retention = Retention(self._upkeep_lane, lambda: self._owned)
        self.reader = PostgresReader(self._pages, self._owner, self._logs)

    @property
    def _lanes(self) -> Sequence[Lane]:
        return self._upkeep_lane, self._commits, self._claims, self._owner, self._pages, self._log_lane

    async def open(self) -> None:
        """Check or make the schema, connect. Raises SchemaError, TransientStoreError."""
        try:
            await self._upkeep_lane.open()
            async with self._upkeep_lane.link() as link:
                await schema.prepare(link, self.at, self._steps, migrate=self._auto_migrate)
            for lane in self._lanes[1:]:
                await lane.open()
            await ownership.introduce(self._commits, self.server_id, self.address, __version__)
        except BaseException:
            await self.close()
            raise
        await self.upkeep.try_to_add_days()
        self.upkeep.start()

    async def close(self) -> None:
        """Finish what is being written, disconnect. A lease that is not released runs out. Harmless when called twice."""
        await self.upkeep.stop()
        self._owned = {}
        for lane in reversed(self._lanes):
            await lane.close()

    async def claim(self) -> Fences:
        self._owned, self._is_in_doubt = {}, False
        self._owned = dict(await ownership.claim(self._claims, self._owner, self.server_id, self.address, self._lease_us))
        return dict(self._owned)

    async def fences(self) -> Fences:
        stored = await ownership.fences(self._commits)
        self._owned = {group: stored[group] for group, mine in self._owned.items() if stored[group].epoch == mine.epoch}
        self._is_in_doubt = False
        return stored

    async def renew(self, fences: Fences) -> None:
        await ownership.renew(self._commits, fences, self._lease_us)

    async def release(self, fences: Fences) -> None:
        self._owned = {}
        await ownership.release(self._commits, fences)

    async def holder(self) -> Holder | None:
        return await ownership.holder(self._owner)

    async def cluster(self) -> Cluster:
        """Servers and leases, for people."""
        return await ownership.cluster(self._owner)

    async def load(self, tenant_no: TenantNo) -> Snapshot:
        async with self._owner.link() as link:
            return await owner.load(link, tenant_no, {} if self._is_in_doubt else self._owned)

    async def commit(self, batch: Batch) -> None:
        began = time.perf_counter()
        try:
            written = await commit.commit(self._commits, batch, self._lease_us)
        except CommitOutcomeUnknown:
            self._is_in_doubt = True
            raise
        self._owned.update(batch.fences)
        self._count(written, time.perf_counter() - began)
        self.upkeep.after_commit(runs_opened=any(changes.runs_opened for _, changes in batch.changes))

    async def look_up(self, tenant_no: TenantNo, needs: Needs) -> Found:
        async with self._owner.link() as link:
            return await owner.look_up(link, tenant_no, needs)

    async def tenants(self) -> Sequence[Tenant]:
        async with self._owner.link() as link:
            return await owner.tenants(link)

    async def create_tenant(self, tenant_id: TenantId, name: str, now: int) -> Tenant:
        async with self._owner.link() as link:
            return await owner.create_tenant(link, tenant_id, name, now)

    async def tokens(self) -> Sequence[Token]:
        async with self._owner.link() as link:
            return await owner.tokens(link)

    async def put_token(self, token: Token) -> None:
        async with self._owner.link() as link:
            await owner.put_token(link, token)

    async def quarantine(self, tenant_no: TenantNo, at: int, reason: str, content: str) -> None:
        async with self._owner.link() as link:
            await owner.quarantine(link, Quarantined(tenant_no, at, reason, content))

    async def quarantined(self) -> Sequence[Quarantined]:
        async with self._owner.link() as link:
            return await owner.quarantined(link)

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        await self._logs.append(lines)

    async def prune(self, before: int, limit: int) -> int:
        return await self.retention.prune(before, limit)

    async def purge_claims(self, before: int, limit: int) -> int:
        return await self.retention.purge_claims(before, limit)

    async def prune_events(self, before: int, limit: int) -> int:
        return await self.retention.prune_events(before, limit)

    async def _greet(self, link: Link) -> None:
        await ownership.introduce_backend(link, self.server_id)
        await commit.warm(link)

    def _count(self, written: Written, seconds: float) -> None:
        self.stats.commits += 1
        self.stats.rows_written += written.rows
        self.stats.commit_seconds_total += seconds
        if written.homeless:
            extra: Mapping[str, float] = self.stats.extra
            self.stats.extra["rows_without_partition"] = extra.get("rows_without_partition", 0) + written.homeless
