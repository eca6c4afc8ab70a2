"""A context without an engine, for unit tests of task functions (W18.5)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter

from limpet.sdk.attempt import Attempt, AttemptKey, Payload
from limpet.sdk.context import Context
from limpet.sdk.serde import EmptyModel, dump_input

logger: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MockRun:
    """What a unit test says about the run that it makes up."""

    additional_metadata: dict[str, Any]
    parent_outputs: dict[str, dict[str, Any]]
    retry_count: int
    lifespan: Any


class NoEngine:
    """Answers a context's requests where no engine is: log lines go to the logger, the rest has no effect."""

    def put_log(self, task_run_id: str, retry_count: int, line: str, level: str, created_at: datetime) -> None:
        """Hand the line to this module's logger."""
        logger.info("%s", line)

    def put_stream(self, task_run_id: str, chunk: bytes, index: int, created_at: datetime) -> None:
        """Nobody listens."""

    async def aio_put_stream(self, task_run_id: str, chunk: bytes, index: int, created_at: datetime) -> None:
        """Nobody listens."""

    def refresh_timeout(self, task_run_id: str, increment: str) -> None:
        """There is no timeout."""

    async def aio_refresh_timeout(self, task_run_id: str, increment: str) -> None:
        """There is no timeout."""

    def release_slot(self, task_run_id: str) -> None:
        """There is no slot."""

    async def aio_release_slot(self, task_run_id: str) -> None:
        """There is no slot."""

    def pause_rate_limit(self, key: str, until: datetime) -> datetime:
        """There are no rate limits; it is as if it were paused."""
        return until

    async def aio_pause_rate_limit(self, key: str, until: datetime) -> datetime:
        """There are no rate limits; it is as if it were paused."""
        return until

    def cancel(self, task_run_id: str) -> None:
        """The context has set its flag; there is nobody else to tell."""

    async def aio_cancel(self, task_run_id: str) -> None:
        """The context has set its flag; there is nobody else to tell."""


@dataclass(slots=True)
class MockWorker:
    """A worker that is only an id and labels."""

    worker_id: str = field(default_factory=lambda: str(uuid4()))
    action_ids: frozenset[str] = frozenset()
    labels: dict[str, str | int] = field(default_factory=dict)

    def upsert_labels(self, labels: Mapping[str, str | int]) -> None:
        """Merge the labels."""
        self.labels = self.labels | dict(labels)

    async def aio_upsert_labels(self, labels: Mapping[str, str | int]) -> None:
        """Merge the labels."""
        self.upsert_labels(labels)


def mock_context(
    run: MockRun, *, value: Any, adapter: TypeAdapter[Any], task_name: str, workflow_name: str, max_attempts: int
) -> Context:
    """A context with made-up ids."""
    given = EmptyModel() if value is None else value
    payload = Payload(input=json.loads(dump_input(given, adapter)), parents=run.parent_outputs)
    attempt = Attempt(
        key=AttemptKey(str(uuid4()), run.retry_count),
        action_id=f"{workflow_name.lower()}:{task_name}",
        workflow_run_id=str(uuid4()),
        payload=payload,
        additional_metadata=run.additional_metadata,
    )
    return Context(
        attempt,
        calls=NoEngine(),
        worker=MockWorker(),
        task_name=task_name,
        workflow_name=workflow_name,
        max_attempts=max_attempts,
        lifespan=run.lifespan,
    )
