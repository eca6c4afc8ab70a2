"""When a cron expression is due: arithmetic of the calendar over instants that are handed in, never a clock.

Five fields, or six with seconds first; `@daily` and its like; a leading `TZ=` or `CRON_TZ=` names a zone, else the fields
mean UTC. What an expression costs is bounded by `STEPS_MAX`, whatever it says (R3).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from limpet.core.errors import InvalidArgument
from limpet.core.ids import Instant

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
ZONE_PREFIXES = ("CRON_TZ=", "TZ=")
EXPRESSION_CHARS_MAX = 255  # a list of all seconds has 200
# Rounds of the search for the next instant, each at most 60 additions. Fifty years have 600 months; the rarest
# expression that is ever due, a 29th of February that is a Monday, comes within 40 of them.
STEPS_MAX = 2_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Search(CronSim):
    """A walk along the calendar that gives up in time."""

    steps_left = STEPS_MAX

    def advance_month(self) -> None:
        """The beginning of every round."""
        self.steps_left -= 1
        if self.steps_left < 0:
            raise StopIteration
        super().advance_month()


def check_expression(expression: str) -> None:
    """Raise InvalidArgument for what cannot be read, and for what is never due."""
    if next_due(expression, Instant(0)) is None:
        raise InvalidArgument(f"cron expression {expression[:80]!r} is never due; check its day and month")


def next_due(expression: str, after: Instant) -> Instant | None:
    """The first instant behind `after` that the expression names; None: there is none. Raises InvalidArgument."""
    fields, zone = _read(expression)
    start = (EPOCH + timedelta(microseconds=after)).astimezone(zone)
    try:
        for found in _Search(fields, start):
            at = Instant((found.astimezone(UTC) - EPOCH) // timedelta(microseconds=1))
            if at > after:  # where clocks are set back, an hour comes twice and the walk may begin in the first
                return at
    except (CronSimError, ValueError, AssertionError) as error:
        raise InvalidArgument(f"cron expression {expression[:80]!r} cannot be read: {error}; {_USAGE}") from None
    except OverflowError:
        return None
    return None


_USAGE = "use five fields (minute hour day month weekday), or six with seconds first, or an alias such as @daily"


def rfc3339(at: Instant) -> str:
    """The instant for people and programs, in UTC."""
    return (EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


def _read(expression: str) -> tuple[str, tzinfo]:
    """The fields, and the zone they are meant in."""
    if len(expression) > EXPRESSION_CHARS_MAX or not expression.isascii():
        raise InvalidArgument(f"a cron expression has at most {EXPRESSION_CHARS_MAX} ASCII characters, got {expression[:80]!r}")
    first, _, rest = expression.strip().partition(" ")
    zone: tzinfo = UTC
    for prefix in ZONE_PREFIXES:
        if first.startswith(prefix):
            zone, (first, _, rest) = _zone(first.removeprefix(prefix)), rest.strip().partition(" ")
            break
    if first.startswith("@"):
        if rest.strip() or first not in ALIASES:
            raise InvalidArgument(f"cron expression {expression[:80]!r} cannot be read; use one of {', '.join(ALIASES)}")
        return ALIASES[first], zone
    return f"{first} {rest}", zone


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidArgument(
            f"time zone {name[:80]!r} is unknown on the engine's machine; use one such as Europe/Berlin, or install tzdata there"
        ) from None
