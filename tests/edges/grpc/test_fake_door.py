"""The fakes keep the shapes of what they stand for."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from limpet.edges.access import Access
from limpet.edges.streams import StreamRegistry
from limpet.engine.door import Door, Streams
from limpet.store.api import Reader

from .fake_door import FakeAccess, FakeDoor, FakeReader


def signatures(kind: type) -> dict[str, list[tuple[str, Any]]]:
    """Method names with their parameters, as written."""
    return {
        name: [(p.name, p.kind) for p in inspect.signature(member).parameters.values()]
        for name, member in vars(kind).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("protocol", "kind"), [(Door, FakeDoor), (Reader, FakeReader), (Access, FakeAccess), (Streams, StreamRegistry)]
)
def test_every_method_of_the_seam_exists_with_its_parameters(protocol: type, kind: type) -> None:
    wanted, given = signatures(protocol), signatures(kind)
    assert wanted
    assert {name: given.get(name) for name in wanted} == wanted
    assert all(
        inspect.iscoroutinefunction(vars(protocol)[name]) == inspect.iscoroutinefunction(vars(kind)[name]) for name in wanted
    )
