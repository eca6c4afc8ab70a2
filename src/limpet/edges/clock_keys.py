"""Keys of runs that the clock starts: the core asks, an edge evaluates, beside everything else (decision 0025).

Laws:
1. Nothing waits for an answer: the core asks again when none comes, so an answer that gets lost on the way costs seconds.
2. What is asked for one tenant replaces what was asked before: one question for each tenant is kept, no more.
"""

from __future__ import annotations

import asyncio
import logging

from limpet.core.clock_starts import StartKeyed, StartsKeyed
from limpet.core.decision import KeysWanted
from limpet.core.errors import LimpetError, NotSupported
from limpet.core.ids import TenantId
from limpet.core.limits_view import StartAsked
from limpet.core.records import UnusableKey
from limpet.core.run_keys import RunKeys
from limpet.edges.run_keys import keys_of, unusable
from limpet.engine.door import Door

_log = logging.getLogger(__name__)


class ClockKeys:
    """What the cores wait for, and who computes it."""

    def __init__(self) -> None:
        self._wanted: dict[TenantId, KeysWanted] = {}
        self._arrived = asyncio.Event()

    def want(self, tenant: TenantId, wanted: KeysWanted) -> None:
        """Never waits."""
        self._wanted[tenant] = wanted
        self._arrived.set()

    async def run(self, door: Door) -> None:
        """Evaluate and answer, tenant by tenant, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._wanted:
                tenant = next(iter(self._wanted))
                try:
                    await self._answer(door, tenant, self._wanted.pop(tenant))
                except Exception:  # an outermost edge: the core asks again, and others' runs wait for nobody
                    _log.exception("Keys could not be computed.", extra={"event": "clock_keys.failed", "tenant_id": tenant})

    async def _answer(self, door: Door, tenant: TenantId, wanted: KeysWanted) -> None:
        answers = []
        for start in wanted.starts:
            answers.append(_keyed(start))
            await asyncio.sleep(0)  # streams and callers in between: an expression may take a tenth of a second
        try:
            await door.submit(tenant, StartsKeyed(tuple(answers)))
        except LimpetError as error:
            _log.info(
                "Keys of %d runs were computed in vain: %s",
                len(answers),
                error,
                extra={"event": "clock_keys.unheard", "tenant_id": tenant},
            )


def _keyed(start: StartAsked) -> StartKeyed:
    return StartKeyed(start.row_id, start.due_at, start.slot, _keys(start))


def _keys(start: StartAsked) -> RunKeys:
    """Where expressions cannot be evaluated at all, the run fails, or its log line says why: it was promised."""
    try:
        return keys_of(start.limits, start.input, start.metadata)
    except NotSupported as error:
        return unusable(start.limits, UnusableKey(str(error)))
