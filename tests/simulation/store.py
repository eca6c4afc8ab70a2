"""A model store: rows of several tenants behind one fence (R12, R22), a log that can go back in time, faults on order."""

from __future__ import annotations

from enum import Enum

from limpet.core.ids import TenantNo, first_key
from limpet.core.needs import Found, Needs, Snapshot
from limpet.store.api import ONLY_GROUP, Batch, DataError, Fence, FenceMismatch
from tests.simulation.tables import Broken, Tables, Undo, undone

POISON = b'"poison"'  # an input that this store refuses, as a NUL or a lone surrogate would be (T-POISON)


class Fate(Enum):
    """What becomes of one commit."""

    OK = "ok"
    TRANSIENT = "transient error"
    LOST_APPLIED = "answer lost, applied"
    LOST_DROPPED = "answer lost, not applied"


class ModelStore:
    """What is durable. `log`: one entry for each commit, with what undoes it."""

    def __init__(self, tenants: list[TenantNo]) -> None:
        self.tables = {tenant_no: Tables() for tenant_no in tenants}
        self.epoch = 0
        self.seq = 0
        self.log: list[tuple[Fence, int, Undo]] = []
        self.violations: list[str] = []
        self._batches: dict[int, Batch] = {}

    def claim(self) -> Fence:
        """Raise the epoch; ends every older owner."""
        self.epoch += 1
        return Fence(self.epoch, self.seq)

    def fence(self) -> Fence:
        return Fence(self.epoch, self.seq)

    def check_fence(self, fence: Fence) -> None:
        """The first statement of each commit (R7)."""
        if fence.epoch != self.epoch or fence.seq != self.seq + 1:
            raise FenceMismatch(f"the batch has {fence}, the store is at {self.fence()}")

    def commit(self, batch: Batch) -> None:
        """Fence, then all rows, or nothing."""
        fence = batch.fences[ONLY_GROUP]
        self.check_fence(fence)
        undo: Undo = []
        for tenant_no, changes in batch.changes:
            if any(run.input == POISON for run in changes.runs_opened):
                undone(undo)
                raise DataError("a payload that this store cannot keep")
            try:
                undo += self.tables[tenant_no].apply(changes)
            except Broken as error:
                self.violations.append(f"D4: the store was given rows that do not fit: {error}")
                undone(undo)
                raise DataError(str(error)) from error
        self._note(batch, undo)

    def _note(self, batch: Batch, undo: Undo) -> None:
        fence = batch.fences[ONLY_GROUP]
        if id(batch) in self._batches:
            self.violations.append(f"D6: the batch of commit {fence.seq} was applied twice")
        self._batches[id(batch)] = batch
        if fence.seq != self.seq + 1:
            self.violations.append(f"D3: commit {fence.seq} follows commit {self.seq}")
        if self.log and fence.epoch < self.log[-1][0].epoch:
            self.violations.append(f"O1: epoch {fence.epoch} commits after epoch {self.log[-1][0].epoch}")
        self.seq = fence.seq
        self.log.append((fence, id(batch), undo))

    def rewind(self, count: int) -> int:
        """Go back by up to `count` commits; returns by how many."""
        gone = 0
        while self.log and gone < count:
            _, batch_id, undo = self.log.pop()
            undone(undo)
            self._batches.pop(batch_id, None)
            self.seq -= 1
            gone += 1
        return gone

    def load(self, tenant_no: TenantNo) -> Snapshot:
        return self.tables[tenant_no].snapshot(first_key(tenant_no))

    def look_up(self, tenant_no: TenantNo, needs: Needs) -> Found:
        return self.tables[tenant_no].look_up(needs)
