"""One commit at a time, and what each of its outcomes means (R8).

Laws:
1. A batch keeps its number until its fate is known: tried again it is the same batch with the same number.
2. After `commit` returned, the batch is durable exactly once (D6); after it raised, it is not there at all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from limpet.core.decision import Changes
from limpet.core.ids import SECOND_US
from limpet.engine.clock import Clock
from limpet.engine.leases import Lease
from limpet.engine.metrics import Metrics
from limpet.engine.patience import Patience
from limpet.store.api import (
    Batch,
    CommitOutcomeUnknown,
    DataError,
    FatalStoreError,
    Fence,
    FenceMismatch,
    Fences,
    GroupNo,
    Store,
    StoreError,
    Tenant,
    TransientStoreError,
)

CALL = "commit"
_log = logging.getLogger(__name__)


class Committer:
    """Holds the fences and carries batches to the store."""

    def __init__(self, store: Store, lease: Lease, patience: Patience, clock: Clock, metrics: Metrics) -> None:
        self._store, self._lease, self._patience = store, lease, patience
        self._clock, self._metrics = clock, metrics
        self._fences: dict[GroupNo, Fence] = {}

    @property
    def fences(self) -> Fences:
        """Epoch of this ownership and number of the last commit, by group. Empty: nothing is owned."""
        return self._fences

    @property
    def epoch(self) -> int | None:
        """The largest epoch among the owned groups."""
        return max((fence.epoch for fence in self._fences.values()), default=None)

    @property
    def seq(self) -> int | None:
        """How many commits the owned groups have seen, together."""
        return sum(fence.seq for fence in self._fences.values()) if self._fences else None

    def own(self, fences: Fences) -> None:
        """This is what `Store.claim` said, or what a commit reached."""
        self._fences.update(fences)
        self._metrics.epoch.set(self.epoch or 0)
        self._metrics.commit_seq.set(self.seq or 0)

    def disown(self) -> None:
        """Nothing is owned any more; the next `own` tells everything anew."""
        self._fences.clear()
        self._lease.end()

    async def claim(self) -> Fences:
        """Become the owner. Raises OwnedElsewhere while another server's lease runs."""
        self.disown()
        sent_at = self._clock.now()
        fences = await self._patience.insist("let this engine claim it", self._store.claim)
        self.own(fences)
        self._lease.prolong(sent_at)
        return fences

    async def commit(self, changes: Sequence[tuple[Tenant, Changes]]) -> None:
        """Make changes durable; returns when they are.

        errors: FenceMismatch (step down), DataError (nothing was written and never will be), FatalStoreError
        """
        groups = {tenant.group for tenant, _ in changes}
        fences = {group: self._fences[group].next() for group in groups}
        batch = Batch(fences, [(tenant.no, one) for tenant, one in changes])
        began_at = sent_at = self._clock.now()
        tries, in_doubt = 0, False
        try:
            while (outcome := await self._try(batch, in_doubt=in_doubt)) is not None:
                tries += 1
                in_doubt = in_doubt or isinstance(outcome, CommitOutcomeUnknown)
                await self._patience.pause(tries)
                sent_at = self._clock.now()
        except StoreError:
            self._patience.troubles.end(CALL)
            raise
        self._patience.troubles.end(CALL)
        self.own(batch.fences)
        self._lease.prolong(sent_at)
        self._metrics.commit_seconds.observe((self._clock.now() - began_at) / SECOND_US)

    async def _try(self, batch: Batch, *, in_doubt: bool) -> Exception | None:
        """None: it is durable. An error: the same batch has to be tried again."""
        try:
            await self._store.commit(batch)
        except TransientStoreError as error:
            return self._again(error, "transient")
        except CommitOutcomeUnknown as error:
            return None if await self._is_applied(batch) else self._again(error, "outcome unknown")
        except FenceMismatch:
            # After a lost answer the first try may have been applied behind our look at the fence.
            if not in_doubt or not await self._is_applied(batch):
                raise
        except (DataError, FatalStoreError):
            raise
        except Exception as error:  # the store has no name for it: the batch is at fault unless the fence says otherwise
            if not await self._is_applied(batch):
                raise DataError(f"{type(error).__name__}: {error}") from error
        return None

    def _again(self, error: Exception, cause: str) -> Exception:
        self._patience.troubles.begin(CALL, error)
        self._metrics.store_retries.labels(CALL, cause).inc()
        return error

    async def _is_applied(self, batch: Batch) -> bool:
        """Read the fences: the batch's own numbers, those before it, or somebody else's (then FenceMismatch)."""
        stored = await self._patience.insist("read the fence", self._store.fences)
        found = {group: stored.get(group) for group in batch.fences}
        if found == batch.fences:
            return True
        if found == {group: self._fences[group] for group in batch.fences}:
            return False
        raise FenceMismatch(
            f"this engine is at {_text(batch.fences)}, but the store is at {_text(found)}: it has another owner, or an older copy"
        )


def _text(fences: Mapping[GroupNo, Fence | None]) -> str:
    return ", ".join(f"{fence}" if len(fences) == 1 else f"{fence} in group {group}" for group, fence in fences.items())
