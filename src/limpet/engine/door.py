"""The engine's door: all that an edge may ask of the engine. Edges get a `Door`, never the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from limpet.core.decision import Delivery
from limpet.core.explain import Explanation
from limpet.core.ids import TenantId, TenantNo
from limpet.core.inputs import Input
from limpet.core.limits_view import LimitsView
from limpet.core.rate_views import RatesView
from limpet.core.subscriptions import Candidate
from limpet.core.views import OutputView, WorkerView
from limpet.store.api import LogLine, Reader


class Door(Protocol):
    """What edges call. Whatever asks the tenant's memory may raise a `TemporaryError`; `submit` also a `RequestError`.

    A heartbeat never waits for a commit (R10): ask `worker`, then `notify`.
    """

    reader: Reader

    async def submit(self, tenant: TenantId, item: Input) -> object:
        """Hand in an input; returns its reply once it is committed. The reply's type: see the input's docstring."""

    def notify(self, tenant: TenantId, item: Input) -> None:
        """Hand in an input nobody waits for (signs of life). Never blocks; dropped when the inbox is full."""

    def tenant_no(self, tenant: TenantId) -> TenantNo | None:
        """None: no such tenant. Raises a `TemporaryError` while this server does not know (R20)."""

    def worker(self, tenant: TenantId, worker_id: str) -> WorkerView | None:
        """A worker that is not forgotten, from memory."""

    def workers(self, tenant: TenantId) -> Sequence[WorkerView]:
        """All workers that are not forgotten, from memory, by registration."""

    def started_at(self, tenant: TenantId, task_run_ids: Sequence[str]) -> dict[str, int]:
        """Receipts of live attempts: task run id to instant; rows tell it only once the attempt has ended."""

    def limits(self, tenant: TenantId, workflow_name: str) -> LimitsView | None:
        """The concurrency expressions of the version in force, from memory; None: it has none, or is unknown."""

    def candidates(self, tenant: TenantId, event_key: str, scope: str | None) -> Sequence[Candidate]:
        """What an event with that key and scope may start now, from memory."""

    def output_view(self, tenant: TenantId, task_run_id: str) -> OutputView | None:
        """The expressions that look at a task's output, from memory; None: none does, or no such task lives."""

    def rates(self, tenant: TenantId) -> RatesView:
        """The rate limits that code names, and how many tasks wait for units, from memory."""

    def awaited(self, tenant: TenantId, event_key: str) -> tuple[str, ...]:
        """The expressions that conditions hold against the payload of such an event, from memory."""

    async def explain(self, tenant: TenantId, task_run_id: str) -> Explanation:
        """Why a task waits, or where it is. Raises NotFound."""

    def log(self, line: LogLine) -> bool:
        """Queue a log line for the logs' own writer; False when the bounded queue is full and it was dropped."""

    @property
    def is_ready(self) -> bool:
        """The store is reachable, the loop turns, commits succeed, and this server owns the store."""

    @property
    def standby(self) -> str | None:
        """While this server stands by for another: the sentence that says so, with the other's address."""


class Streams(Protocol):
    """Who is listening. Handed to the engine by whoever composes it; kept by the edges."""

    def deliver(self, tenant: TenantId, deliveries: Sequence[Delivery]) -> list[tuple[str, int]]:
        """Put committed deliveries into bounded per-stream buffers, never wait.

        Returns (task run id, retry_count) of each start that no open stream of its worker could take.
        """

    def wants_result(self, tenant: TenantId, workflow_run_id: str) -> bool:
        """Whether somebody waits for this run, so that its outputs are worth reading."""

    def end_all(self, reason: str) -> None:
        """End every stream with UNAVAILABLE, spread over up to 2 s (R33)."""
