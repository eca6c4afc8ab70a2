"""Pushed events over gRPC: checked, filtered at the edge, handed to the core as one input, evaluated again when it must be."""

from __future__ import annotations

import orjson
import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from limpet.contracts import events_pb2 as wire
from limpet.core.errors import SubscriptionsChanged
from limpet.core.event_inputs import EventsPushed
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import TenantId
from limpet.core.settings import Settings
from limpet.core.subscriptions import Candidate
from limpet.core.views import LimitsView
from limpet.edges import events
from limpet.edges.events import EVALUATIONS_INLINE_MAX, FAILURES_MAX, NewEvent, push, run_metadata
from tests.edges.grpc.conftest import Wire
from tests.edges.grpc.fake_door import TENANT, FakeDoor

NOW = 1_750_000_000_000_000


def rows_of(item: EventsPushed) -> tuple[PushedEventRow, ...]:
    return tuple(
        PushedEventRow(n, one.id, 1, one.name, one.payload, len(one.payload), one.metadata, one.priority, one.scope, None, NOW)
        for n, one in enumerate(item.events)
    )


@pytest.fixture
def door() -> FakeDoor:
    async def take(item: EventsPushed) -> tuple[PushedEventRow, ...]:
        return rows_of(item)

    return FakeDoor(replies={EventsPushed: take})


def filtered(expression: str, stamp: int = 2, payload: bytes = b"{}") -> Candidate:
    return Candidate(stamp, "F", f"filter-{stamp}", expression, payload)


async def taken(door: FakeDoor, *new: NewEvent) -> EventsPushed:
    """What the core was handed for these events."""
    await push(door, TenantId(TENANT), new, Settings())
    item = door.submitted[-1][1]
    assert isinstance(item, EventsPushed)
    return item
