"""What tasks declare about rate limits (F4.3, F4.5). Immutable; part of a workflow's definition."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.core.rate_windows import RateWindow

UNITS_DEFAULT = 1
LIMIT_MAX = (1 << 31) - 1  # of a limit and of units: an int32 on the wire

Demand = tuple[tuple[str, int], ...]
"""Units by rate limit that an attempt takes, sorted by name; each name once, `()` for most tasks."""


@dataclass(frozen=True, slots=True)
class RateUse:
    """Units of one rate limit that each attempt of a task takes.

    key:              the limit's name; "" when `key_expression` computes it
    units_expression: computes the units; "" when `units` says them
    limit_expression: computes what the limit is set to; only of a computed key
    window:           the window that goes with it

    Expressions are CEL over a run's input and metadata; an edge evaluates them (decision 0018).
    """

    key: str = ""
    units: int = UNITS_DEFAULT
    key_expression: str = ""
    units_expression: str = ""
    limit_expression: str = ""
    window: RateWindow = RateWindow.MINUTE

    @property
    def is_computed(self) -> bool:
        """Whether a run must bring values for it."""
        return bool(self.key_expression or self.units_expression)

    @property
    def expressions(self) -> tuple[str, ...]:
        """Those that must compile."""
        return tuple(text for text in (self.key_expression, self.units_expression, self.limit_expression) if text)


@dataclass(frozen=True, slots=True)
class RateValue:
    """What a computed use came to for one run. `limit`: None leaves the limit as it is."""

    name: str
    units: int
    limit: int | None = None
