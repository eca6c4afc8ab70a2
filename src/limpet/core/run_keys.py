"""What the expressions of one run give, on its way from an edge to the core."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.rate_definitions import RateValue
from limpet.core.records import LimitKey, UnusableKey


@dataclass(frozen=True, slots=True)
class RunKeys:
    """What the expressions of one run give, computed by an edge (R3).

    version_id:  the version whose expressions were evaluated
    keys:        one for each concurrency limit of that version, by number
    stand_in:    a text that nobody else has, given to the expressions as the run's id, which the core makes later
    rates:       one for each computed use of a rate limit of that version, by number
    idempotency: the idempotency key; None: the version wants none
    """

    version_id: str
    keys: tuple[LimitKey, ...]
    stand_in: str = ""
    rates: tuple[RateValue | UnusableKey, ...] = ()
    idempotency: LimitKey | None = None
