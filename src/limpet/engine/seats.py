"""A tenant's place in this engine: its core, when it is loaded, and what the edges hold for it.

Law: only the loop and the recovery change a seat; everybody else reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from limpet.core.decision import Decision
from limpet.core.explain import Explanation
from limpet.core.ids import Instant, TenantId, TenantNo
from limpet.core.inputs import Input
from limpet.core.limits_view import LimitsView
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.rate_views import RatesView
from limpet.core.settings import Settings
from limpet.core.subscriptions import Candidate
from limpet.core.views import OutputView, WorkerView
from limpet.engine.presence import Presence
from limpet.store.api import Tenant


class Core(Protocol):
    """What the engine needs of a tenant's core; `limpet.core.machine.Machine` is one."""

    def needs(self, inputs: Sequence[Input]) -> Needs: ...

    def step(self, inputs: Sequence[Input], now: Instant, found: Found | None = None) -> Decision: ...

    @property
    def wake_at(self) -> Instant | None: ...

    def workers(self) -> list[WorkerView]: ...

    def worker(self, worker_id: str) -> WorkerView | None: ...

    def started_at(self, task_run_ids: Sequence[str]) -> dict[str, int]: ...

    def limits_of(self, workflow_name: str) -> LimitsView | None: ...

    def candidates(self, event_key: str, scope: str | None) -> Sequence[Candidate]: ...

    def output_view(self, task_run_id: str) -> OutputView | None: ...

    def rates(self, now: Instant) -> RatesView: ...

    def awaited(self, event_key: str) -> tuple[str, ...]: ...

    def explain(self, task_run_id: str, now: Instant) -> Explanation | None: ...

    def check(self) -> list[str]: ...


class LoadCore(Protocol):
    """How a core is rebuilt; `Machine.load` is one."""

    def __call__(
        self,
        snapshot: Snapshot,
        *,
        tenant_no: TenantNo,
        now: Instant,
        salt: bytes,
        settings: Settings | None = None,
        seen: dict[str, int] | None = None,
    ) -> Core: ...


@dataclass(frozen=True, slots=True)
class Halt:
    """A tenant that failed even right after a reload: it is left alone until `until` (style section 6)."""

    reason: str
    until: Instant
    delay_us: int


@dataclass(slots=True, eq=False)
class Seat:
    """One tenant. `core` is None before its first load, and while it is halted."""

    tenant: Tenant
    core: Core | None = None
    halt: Halt | None = None
    presence: Presence = field(default_factory=Presence)


class Seats:
    """All tenants of the store, by either name."""

    def __init__(self) -> None:
        self._by_id: dict[TenantId, Seat] = {}
        self._by_no: dict[TenantNo, Seat] = {}

    def __iter__(self) -> Iterator[Seat]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, tenant: Tenant) -> Seat:
        """The tenant's seat, new or the one it has."""
        seat = self._by_id.get(tenant.id)
        if seat is None:
            seat = self._by_id[tenant.id] = self._by_no[tenant.no] = Seat(tenant)
        return seat

    def of(self, tenant: TenantId) -> Seat | None:
        return self._by_id.get(tenant)

    def numbered(self, tenant_no: TenantNo) -> Seat:
        return self._by_no[tenant_no]

    def clear(self) -> None:
        """Forget all tenants: this engine does not own them any more."""
        self._by_id.clear()
        self._by_no.clear()
