"""A store that fails on demand around a real one, and streams that keep what they are given.

Every fault that happened is counted in `happened`; a test of a fault asserts that it did (reliability 6.4).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from limpet.core.decision import Delivery, StartTask
from limpet.core.ids import TenantId, TenantNo
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.rows import Born, TaskRow
from limpet.store.api import (
    ONLY_GROUP,
    Batch,
    CommitOutcomeUnknown,
    DataError,
    FatalStoreError,
    FenceMismatch,
    Fences,
    Holder,
    LogLine,
    Store,
    Tenant,
    TransientStoreError,
)


class Fault(StrEnum):
    """What happens to one call."""

    BUSY = "busy"  # transient
    ANSWER_LOST = "answer lost"  # applied, the answer never came
    NEVER_ARRIVED = "never arrived"  # not applied, the answer never came
    ARRIVED_LATE = "arrived late"  # unknown, and applied only after the fence was read
    TAKEN = "taken"  # somebody else is the owner
    BROKEN = "broken"  # fatal
    NAMELESS = "nameless"  # an error the store has no name for
    DATA = "data"  # the data cannot be stored, or read


class FaultyReader:
    """Payload reads that fail on demand; everything else is the real reader's."""

    def __init__(self, store: FaultyStore, reader: object) -> None:
        self._store, self._reader = store, reader
        self.payload_reads: list[tuple[set[int], set[int]]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)

    async def payloads(
        self, runs: Collection[Born], tasks: Collection[Born]
    ) -> tuple[Mapping[int, bytes], Mapping[int, TaskRow]]:
        self.payload_reads.append(({run.key for run in runs}, {task.key for task in tasks}))
        await self._store.pass_gate("payloads")
        self._store.fail_maybe("payloads")
        return await self._reader.payloads(runs, tasks)  # type: ignore[attr-defined,no-any-return]


class FaultyStore:
    """The store with planned faults, by call. `gates` hold a call until they are opened."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.reader = FaultyReader(self, store.reader)
        self.plan: dict[str, deque[Fault]] = {}
        self.happened: Counter[str] = Counter()
        self.gates: dict[str, asyncio.Event] = {}
        self.reached: dict[str, asyncio.Event] = {}
        self.journal: list[str] = []
        self.commits: list[Batch] = []  # every try
        self.quarantined: list[tuple[TenantNo, str, str]] = []
        self.logs: list[LogLine] = []
        self.pruned: list[tuple[int, int]] = []
        self.purged: list[tuple[int, int]] = []
        self.purgeable = 0
        self.prunable = 0
        self.loads: Counter[TenantNo] = Counter()
        self.is_closed = False
        self._late: Batch | None = None

    def will(self, call: str, *faults: Fault) -> None:
        """The next calls end like this, in order."""
        self.plan.setdefault(call, deque()).extend(faults)

    def hold(self, call: str) -> asyncio.Event:
        """Let that call wait for the returned gate; `reached[call]` tells that one waits."""
        self.reached[call] = asyncio.Event()
        self.gates[call] = asyncio.Event()
        return self.gates[call]

    async def pass_gate(self, call: str) -> None:
        if call in self.gates:
            self.reached[call].set()
            await self.gates[call].wait()

    def fault(self, call: str) -> Fault | None:
        planned = self.plan.get(call)
        fault = planned.popleft() if planned else None
        if fault is not None:
            self.happened[f"{call} {fault}"] += 1
        return fault

    def fail_maybe(self, call: str) -> None:
        _raise(self.fault(call))

    async def open(self) -> None:
        await self.store.open()

    async def close(self) -> None:
        self.is_closed = True
        await self.store.close()

    @property
    def lease_us(self) -> int | None:
        return self.store.lease_us

    async def claim(self) -> Fences:
        self.fail_maybe("claim")
        return await self.store.claim()

    async def renew(self, fences: Fences) -> None:
        await self.pass_gate("renew")
        self.fail_maybe("renew")
        await self.store.renew(fences)

    async def release(self, fences: Fences) -> None:
        self.fail_maybe("release")
        await self.store.release(fences)

    async def holder(self) -> Holder | None:
        return await self.store.holder()

    async def fences(self) -> Fences:
        self.fail_maybe("fences")
        fences = await self.store.fences()
        if self._late is not None:
            late, self._late = self._late, None
            await self.store.commit(late)
        return fences

    async def load(self, tenant_no: TenantNo) -> Snapshot:
        self.fail_maybe("load")
        self.loads[tenant_no] += 1
        return await self.store.load(tenant_no)

    async def commit(self, batch: Batch) -> None:
        self.commits.append(batch)
        await self.pass_gate("commit")
        fault = self.fault("commit")
        if fault is Fault.ANSWER_LOST:
            await self.store.commit(batch)
            raise CommitOutcomeUnknown("the connection broke")
        if fault is Fault.ARRIVED_LATE:
            self._late = batch
            raise CommitOutcomeUnknown("the connection broke")
        _raise(fault)
        if any("poison" in row.name for _, changes in batch.changes for row in changes.workers):
            self.happened["commit poisoned"] += 1
            raise DataError("a row is poisoned")
        await self.store.commit(batch)
        self.journal.append(f"committed {seq_of(batch)}")

    async def look_up(self, tenant_no: TenantNo, needs: Needs) -> Found:
        self.fail_maybe("look_up")
        return await self.store.look_up(tenant_no, needs)

    async def tenants(self) -> Sequence[Tenant]:
        return await self.store.tenants()

    async def create_tenant(self, tenant_id: TenantId, name: str, now: int) -> Tenant:
        return await self.store.create_tenant(tenant_id, name, now)

    async def tokens(self):  # type: ignore[no-untyped-def]
        return await self.store.tokens()

    async def put_token(self, token) -> None:  # type: ignore[no-untyped-def]
        await self.store.put_token(token)

    async def quarantine(self, tenant_no: TenantNo, at: int, reason: str, content: str) -> None:
        self.fail_maybe("quarantine")
        await self.store.quarantine(tenant_no, at, reason, content)
        self.quarantined.append((tenant_no, reason, content))

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        await self.pass_gate("append_logs")
        self.fail_maybe("append_logs")
        if any(line.message == "poison" for line in lines):
            self.happened["append_logs poisoned"] += 1
            raise DataError("a line is poisoned")
        self.logs.extend(lines)

    async def prune(self, before: int, limit: int) -> int:
        self.fail_maybe("prune")
        self.pruned.append((before, limit))
        gone = min(limit, self.prunable)
        self.prunable -= gone
        return gone

    async def prune_events(self, before: int, limit: int) -> int:
        self.fail_maybe("prune events")
        return 0

    async def purge_claims(self, before: int, limit: int) -> int:
        self.fail_maybe("purge claims")
        self.purged.append((before, limit))
        gone = min(limit, self.purgeable)
        self.purgeable -= gone
        return gone


def _raise(fault: Fault | None) -> None:
    match fault:
        case Fault.BUSY:
            raise TransientStoreError("the disk is full")
        case Fault.NEVER_ARRIVED:
            raise CommitOutcomeUnknown("the connection broke")
        case Fault.TAKEN:
            raise FenceMismatch("somebody else is the owner")
        case Fault.BROKEN:
            raise FatalStoreError("fsync failed")
        case Fault.NAMELESS:
            raise RuntimeError("the store stumbled")
        case Fault.DATA:
            raise DataError("not storable")
        case _:
            return


def seq_of(batch: Batch) -> int:
    """The number of a commit to a store with one group."""
    return batch.fences[ONLY_GROUP].seq


class KeepingStreams:
    """Streams that keep deliveries in order. Workers in `deaf` take no starts; runs in `wanted` have waiters."""

    def __init__(self) -> None:
        self.delivered: list[Delivery] = []
        self.tenants: list[str] = []
        self.deaf: set[str] = set()
        self.wanted: set[str] = set()
        self.ended: list[str] = []
        self.fails_next = False
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def deliver(self, tenant: TenantId, deliveries: Sequence[Delivery]) -> list[tuple[str, int]]:
        if self.fails_next:
            self.fails_next = False
            raise RuntimeError("the streams stumbled")
        self.tenants.append(tenant)
        refused = []
        for one in deliveries:
            if isinstance(one, StartTask) and one.worker_id in self.deaf:
                refused.append((one.task_run_id, one.retry_count))
            else:
                self.delivered.append(one)
        for count, future in self._waiting:
            if len(self.delivered) >= count and not future.done():
                future.set_result(None)
        return list(refused)

    def wants_result(self, tenant: TenantId, workflow_run_id: str) -> bool:
        return workflow_run_id in self.wanted

    def end_all(self, reason: str) -> None:
        self.ended.append(reason)

    async def until_delivered(self, count: int) -> None:
        """Return once that many deliveries were taken in all."""
        if len(self.delivered) < count:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((count, future))
            await future
