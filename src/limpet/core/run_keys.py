"""The concurrency keys of one run on their way from an edge to the core."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.records import LimitKey


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The concurrency keys of one run, computed by an edge (R3).

    version_id: the version whose expressions were evaluated
    keys:       one for each limit of that version, by number
    stand_in:   a text that nobody else has, given to the expressions as the run's id, which the core makes later
    """

    version_id: str
    keys: tuple[LimitKey, ...]
    stand_in: str = ""
