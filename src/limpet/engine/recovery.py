"""From rows to memory: after a start, a lost ownership, or a step that failed. All three walk the same path.

Law: memory is never mended piece by piece; it is dropped and rebuilt (R9).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from limpet.core.decision import CloseStreams
from limpet.core.ids import SECOND_US, Instant, TenantId
from limpet.core.inputs import StreamOpened
from limpet.engine.clock import Clock
from limpet.engine.committing import Committer
from limpet.engine.metrics import Metrics
from limpet.engine.patience import Entropy, Patience
from limpet.engine.seats import Core, Halt, LoadCore, Seat, Seats
from limpet.engine.settings import EngineSettings
from limpet.store.api import CorruptStore, FatalStoreError, FenceMismatch, SchemaError, Store, StoreLocked, Tenant

DEFAULT_TENANT_ID = TenantId("707d0855-80ab-4e1f-a156-f1c4546cbf52")  # as the official server names its first tenant
DEFAULT_TENANT_NAME = "default"
SALT_BYTES = 32
ENDS_OWNERSHIP = (
    FenceMismatch,
    FatalStoreError,
    CorruptStore,
    SchemaError,
    StoreLocked,
)  # about the store itself, not about one tenant
_log = logging.getLogger(__name__)


class Recovery:
    """Claims the store and loads tenants."""

    def __init__(
        self, store: Store, seats: Seats, committer: Committer, patience: Patience, clock: Clock,
        entropy: Entropy, metrics: Metrics, settings: EngineSettings, load_core: LoadCore,
    ) -> None:  # fmt: skip
        self._store, self._seats, self._committer, self._patience = store, seats, committer, patience
        self._clock, self._entropy, self._metrics = clock, entropy, metrics
        self._settings, self._load_core = settings, load_core

    async def take_over(self) -> None:
        """Become the owner, then load every tenant (R16). A tenant that cannot be loaded is halted; the others serve.

        Raises OwnedElsewhere while another server's lease runs.
        """
        await self._committer.claim()
        tenants = await self._patience.insist("list tenants", self._store.tenants)
        if not any(tenant.id == DEFAULT_TENANT_ID for tenant in tenants):
            tenants = [*tenants, await self._create_default_tenant()]
        for tenant in tenants:
            await self._load_or_halt(self._seats.add(tenant))
        _log.info(
            "This engine owns the store: epoch %d, commit %d, %d tenants.", self._committer.epoch, self._committer.seq,
            len(tenants),
            extra={"event": "engine.took_over", "epoch": self._committer.epoch, "seq": self._committer.seq},
        )  # fmt: skip

    async def load(self, seat: Seat) -> None:
        """Rebuild a tenant's memory. Raises whatever the rows or the core hold against it."""
        began_at = self._clock.now()
        tenant_no = seat.tenant.no
        snapshot = await self._patience.insist("load a tenant", lambda: self._store.load(tenant_no))
        core = self._load_core(
            snapshot,
            tenant_no=tenant_no,
            now=self._clock.now(),
            salt=self._entropy(SALT_BYTES),
            settings=self._settings.core,
            seen=seat.presence.seen,
        )
        self.report_violations(seat, core)
        seat.core = core
        self._metrics.state_load_seconds.observe((self._clock.now() - began_at) / SECOND_US)

    def drop(self, seat: Seat) -> None:
        """Forget a tenant's memory, but not the signs of life it knew (R31)."""
        core, seat.core = seat.core, None
        if core is None:
            return
        try:
            seat.presence.remember(core.workers())
        except Exception:  # memory that failed in a step may fail in this too; then its last good signs stand
            _log.exception("The dropped memory could not tell who was alive.", extra=_about(seat, "recovery.blind"))

    def reopen_streams(self, seat: Seat) -> tuple[Sequence[StreamOpened], Sequence[CloseStreams]]:
        """What a rebuilt core is told about the streams that are open at the edges, and those to be ended."""
        return seat.presence.reopen(self._clock.now(), within_us=self._settings.core.worker_assignable_us)

    def halt(self, seat: Seat, error: BaseException) -> None:
        """Leave a tenant alone for a while, twice as long each time, and say so loudly."""
        limits = self._settings
        delay = limits.halt_first_us if seat.halt is None else min(limits.halt_max_us, seat.halt.delay_us * 2)
        seat.core = None
        seat.halt = Halt(f"{type(error).__name__}: {error}", Instant(self._clock.now() + delay), delay)
        self._metrics.internal_errors.labels("load").inc()
        _log.error(
            "Tenant %s is halted for %.0f s: its memory cannot be rebuilt.", seat.tenant.id, delay / SECOND_US,
            extra=_about(seat, "tenant.halted"), exc_info=error,
        )  # fmt: skip

    def report_violations(self, seat: Seat, core: Core) -> None:
        """The self-check: count and log what is wrong; the tenant is served nevertheless (section 4)."""
        for sentence in core.check():
            self._metrics.invariant_failures.inc()
            _log.error("Invariant violated: %s", sentence, extra=_about(seat, "invariant.violated"))

    async def _load_or_halt(self, seat: Seat) -> None:
        try:
            await self.load(seat)
        except ENDS_OWNERSHIP:
            raise
        except Exception as error:
            self.halt(seat, error)

    async def _create_default_tenant(self) -> Tenant:
        now = self._clock.now()
        return await self._patience.insist(
            "create the first tenant", lambda: self._store.create_tenant(DEFAULT_TENANT_ID, DEFAULT_TENANT_NAME, now)
        )


def _about(seat: Seat, event: str) -> dict[str, str]:
    return {"event": event, "tenant_id": seat.tenant.id}
