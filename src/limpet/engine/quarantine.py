"""Inputs that the engine could not process: kept for the operator, refused to the caller (R8, T-POISON)."""

from __future__ import annotations

import logging

from limpet.core.errors import InternalError
from limpet.core.inputs import Input, TimePassed
from limpet.engine.clock import Clock
from limpet.engine.metrics import Metrics
from limpet.engine.patience import Entropy, Patience
from limpet.engine.settings import EngineSettings
from limpet.store.api import FatalStoreError, Store, StoreError, Tenant

REFERENCE_BYTES = 6
_log = logging.getLogger(__name__)


class Quarantine:
    """Records failing inputs under a reference that the caller gets to see (X24)."""

    def __init__(
        self, store: Store, patience: Patience, clock: Clock, entropy: Entropy, metrics: Metrics, settings: EngineSettings
    ) -> None:
        self._store, self._patience, self._clock = store, patience, clock
        self._entropy, self._metrics, self._settings = entropy, metrics, settings

    async def record(self, tenant: Tenant, item: Input, error: Exception) -> InternalError:
        """Keep the input; returns the error that its caller is refused with."""
        reference, kind = self._entropy(REFERENCE_BYTES).hex(), type(item).__name__
        _log.error(
            "%s could not be processed; reference %s.", kind, reference,
            extra={"event": "input.quarantined", "tenant_id": tenant.id, "reference": reference}, exc_info=error,
        )  # fmt: skip
        if not isinstance(item, TimePassed):
            self._metrics.quarantined.inc()
            await self._keep(tenant, item, f"{reference} {kind} {type(error).__name__}: {error}")
        return InternalError(
            f"the engine failed on this {kind} and changed nothing; it was recorded for the operator "
            f"under reference {reference}; other calls are not affected"
        )

    async def _keep(self, tenant: Tenant, item: Input, reason: str) -> None:
        limit, at = self._settings.quarantine_text_max, self._clock.now()
        content, reason = ascii(item)[:limit], reason.encode("ascii", "backslashreplace").decode()[:limit]
        content, reason = content.replace("\0", ""), reason.replace("\0", "")
        try:
            await self._patience.insist(
                "record an input in quarantine", lambda: self._store.quarantine(tenant.no, at, reason, content)
            )
        except FatalStoreError:
            raise
        except StoreError:  # the caller is told all the same, and the log has the error
            self._metrics.internal_errors.labels("quarantine").inc()
            _log.exception("The input could not be recorded.", extra={"event": "quarantine.failed", "tenant_id": tenant.id})
