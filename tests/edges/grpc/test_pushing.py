"""Pushed events over gRPC: checked, filtered at the edge, handed to the core as one input, evaluated again when it must be."""

from __future__ import annotations

import pytest

from limpet.core.event_inputs import EventsPushed
from limpet.core.event_rows import PushedEventRow
from limpet.core.ids import TenantId
from limpet.core.settings import Settings
from limpet.core.subscriptions import Candidate
from limpet.edges.events import NewEvent, push
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
