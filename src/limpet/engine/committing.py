"""One commit at a time, and what each of its outcomes means (R8).

Laws:
1. A batch keeps its number until its fate is known: tried again it is the same batch with the same number.
2. After `commit` returned, the batch is durable exactly once (D6); after it raised, it is not there at all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from limpet.core.decision import Changes
from limpet.core.ids import SECOND_US, TenantNo
from limpet.engine.clock import Clock
from limpet.engine.metrics import Metrics
from limpet.engine.patience import Patience
from limpet.store.api import (
    Batch,
    CommitOutcomeUnknown,
    DataError,
    FatalStoreError,
    Fence,
    FenceMismatch,
    Store,
    TransientStoreError,
)

CALL = "commit"
_log = logging.getLogger(__name__)


class Committer:
    """Holds the fence and carries batches to the store."""

    def __init__(self, store: Store, patience: Patience, clock: Clock, metrics: Metrics) -> None:
        self._store, self._patience, self._clock, self._metrics = store, patience, clock, metrics
        self._fence: Fence | None = None

    @property
    def fence(self) -> Fence:
        """Epoch of this ownership and number of the last commit."""
        assert self._fence is not None, "nothing is committed before the store was claimed"
        return self._fence

    def own(self, fence: Fence) -> None:
        """This is what `Store.claim` said."""
        self._fence = fence
        self._metrics.epoch.set(fence.epoch)
        self._metrics.commit_seq.set(fence.seq)

    async def commit(self, changes: Sequence[tuple[TenantNo, Changes]]) -> None:
        """Make changes durable; returns when they are.

        errors: FenceMismatch (step down), DataError (nothing was written and never will be), FatalStoreError
        """
        batch = Batch(Fence(self.fence.epoch, self.fence.seq + 1), changes)
        began_at, tries, in_doubt = self._clock.now(), 0, False
        while (outcome := await self._try(batch, in_doubt=in_doubt)) is not None:
            tries += 1
            in_doubt = in_doubt or isinstance(outcome, CommitOutcomeUnknown)
            await self._patience.pause(tries)
        self._patience.troubles.end(CALL)
        self.own(batch.fence)
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
        """Read the fence: the batch's own number, the one before it, or somebody else's (then FenceMismatch)."""
        stored = await self._patience.insist("read the fence", self._store.fence)
        if stored == batch.fence:
            return True
        if stored == self.fence:
            return False
        raise FenceMismatch(
            f"this engine is at {batch.fence}, but the store is at {stored}: it has another owner, or an older copy"
        )
