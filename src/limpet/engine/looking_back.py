"""The past of events: the newest that is like what a task waits for (decision 0021).

Expressions are evaluated by whoever was handed in, in a thread of their own: this room knows no language for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from limpet.core.conditions import LookBack
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import TenantNo
from limpet.engine.patience import Patience
from limpet.store.api import EventQuery, EventRecord, Reader

LOOK_BACK_EVENTS_MAX = 100  # newest events of a key and scope that an expression is held against; the loop waits for them

Judge = Callable[[str, bytes], bool]
"""Whether an expression of a condition holds for the payload of an event."""


def nothing_holds(expression: str, payload: bytes) -> bool:
    """For engines without edges, where no expression can have been registered."""
    return False


class Past:
    """Asks the store, and judges."""

    def __init__(self, reader: Reader, patience: Patience, judge: Judge) -> None:
        self._reader, self._patience, self._judge = reader, patience, judge

    async def find(self, tenant_no: TenantNo, asked: Sequence[LookBack]) -> dict[LookBack, PushedEventRow | None]:
        """For each question the newest event that is like it; None: there is none."""
        return {one: await self._newest(tenant_no, one) for one in asked}

    async def _newest(self, tenant_no: TenantNo, asked: LookBack) -> PushedEventRow | None:
        query = EventQuery(
            names=(asked.event_key,),
            scopes=(asked.scope,) if asked.scope else None,
            since=asked.since_us,
            limit=LOOK_BACK_EVENTS_MAX if asked.expression else 1,
        )
        records, _ = await self._patience.insist("read past events", lambda: self._reader.pushed_events(tenant_no, query))
        for record in records:
            if not asked.expression or await self._holds(asked.expression, record):
                return record.event
        return None

    async def _holds(self, expression: str, record: EventRecord) -> bool:
        payload, key = record.payload, record.event.key
        if payload is None:  # the page had no room for it
            found = await self._patience.insist("read past events", lambda: self._reader.event_payloads([key]))
            payload = found.get(key, b"{}")
        return await asyncio.to_thread(self._judge, expression, payload)
