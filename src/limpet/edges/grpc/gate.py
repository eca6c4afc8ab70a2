"""Who may come in, and who must leave: the first thing every call meets (X4), and every few seconds each open stream (X2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from limpet.core.errors import EngineStopping, LimitReached
from limpet.core.ids import TenantId, TenantNo
from limpet.edges.access import Access, AccessUnavailable, NotAuthenticated, not_served_yet
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.http.rates import CallRates
from limpet.edges.outbox import EndCause, Outbox
from limpet.engine.door import Door

SPANS = "opentelemetry.proto.collector.trace.v1.TraceService"
WORKER_SERVICES = frozenset({"Dispatcher", "v1.V1Dispatcher", SPANS})
WORKER_CALLS_FACTOR = 10  # a task costs three calls of its worker, but one trigger [X19]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was let in. `authorization` is kept to ask again; `request_id` names a trigger (I5)."""

    tenant: TenantId
    tenant_no: TenantNo
    authorization: str | None
    request_id: str | None = None


class Gate:
    """Lets calls in and keeps count of the open streams' credentials."""

    def __init__(self, door: Door, access: Access, settings: GrpcSettings) -> None:
        self._door, self._access = door, access
        self._rates = CallRates(settings.calls_per_second)
        per_second = settings.calls_per_second
        self._worker_rates = CallRates(None if per_second is None else per_second * WORKER_CALLS_FACTOR)
        self._recheck_s = settings.access_recheck_s
        self._streams: dict[int, tuple[Call, Outbox[Any]]] = {}
        self._left = asyncio.Event()
        self.is_closed = False

    def admit(self, service: str, metadata: Sequence[tuple[str, str | bytes]]) -> Call:
        """The caller. Raises NotAuthenticated, AccessUnavailable, LimitReached, NotOwner or EngineStopping."""
        if self.is_closed:
            raise EngineStopping("the engine is stopping: connect again")
        authorization = _text(metadata, "authorization")
        tenant = self._access.tenant_of(authorization)
        tenant_no = self._door.tenant_no(tenant)
        if tenant_no is None:
            raise not_served_yet(tenant)
        rates = self._worker_rates if service in WORKER_SERVICES else self._rates
        if not rates.take(tenant):
            raise LimitReached(f"more than {rates.per_second:g} calls a second: slow down (calls_per_second)")
        return Call(tenant, tenant_no, authorization, _text(metadata, "limpet-request-id"))

    @contextmanager
    def watched(self, call: Call, box: Outbox[Any]) -> Iterator[None]:
        """Check the credential of this stream again and again while the block runs."""
        self._streams[id(box)] = (call, box)
        try:
            yield
        finally:
            del self._streams[id(box)]
            self._left.set()

    async def emptied(self) -> None:
        """Return once no stream is open."""
        while self._streams:
            self._left.clear()
            await self._left.wait()

    async def run(self, also: Callable[[], None]) -> None:
        """Check all open streams every `access_recheck_s`, for ever; `also` is called with each round."""
        while True:
            await asyncio.sleep(self._recheck_s)
            self.recheck()
            also()

    def recheck(self) -> None:
        """End the streams whose credential counts no more; when nobody can tell, they stay (R35)."""
        for call, box in list(self._streams.values()):
            if not self._still_counts(call):
                box.end("the token was revoked or has expired", EndCause.NOT_AUTHENTICATED)

    def _still_counts(self, call: Call) -> bool:
        try:
            return self._access.tenant_of(call.authorization) == call.tenant
        except NotAuthenticated:
            return False
        except AccessUnavailable:
            return True


def _text(metadata: Sequence[tuple[str, str | bytes]], key: str) -> str | None:
    """A value of the call's metadata. Binary values (keys in -bin) are not asked for."""
    return next((value for name, value in metadata if name == key and isinstance(value, str)), None)
