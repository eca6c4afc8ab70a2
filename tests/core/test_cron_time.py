"""When expressions are due: fields, aliases, zones, and what is refused."""

from __future__ import annotations

import random

import pytest

from limpet.core.cron_time import ALIASES, EXPRESSION_CHARS_MAX, check_expression, next_due, rfc3339
from limpet.core.errors import InvalidArgument
from limpet.core.ids import Instant

MIDNIGHT = Instant(1_767_225_600_000_000)  # 2026-01-01, a Thursday


def due(expression: str, after: int = MIDNIGHT, count: int = 1) -> list[str]:
    found = []
    for _ in range(count):
        at = next_due(expression, Instant(after))
        assert at is not None
        assert at > after
        found.append(rfc3339(at))
        after = at
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", "2026-01-01T00:01:00Z"),
        ("*/15 9-17 * * MON-FRI", "2026-01-01T09:00:00Z"),
        ("0 0 1 FEB,MAR *", "2026-02-01T00:00:00Z"),
        ("30 5 * * 0", "2026-01-04T05:30:00Z"),
        ("  0   3 * * *  ", "2026-01-01T03:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("10 * * * * *", "2026-01-01T00:00:10Z"),
        ("*/20 * * * * *", "2026-01-01T00:00:20Z"),
        ("@hourly", "2026-01-01T01:00:00Z"),
        ("@daily", "2026-01-02T00:00:00Z"),
        ("@weekly", "2026-01-04T00:00:00Z"),
        ("@monthly", "2026-02-01T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
    ],
)
def test_F6_1_fields_and_aliases_mean_utc(expression: str, expected: str) -> None:
    check_expression(expression)
    assert due(expression) == [expected]


def test_B78_every_alias_is_accepted() -> None:
    for alias in ALIASES:
        check_expression(alias)


def test_an_instant_within_a_second_is_followed_by_the_next_second() -> None:
    assert due("* * * * * *", MIDNIGHT + 1) == ["2026-01-01T00:00:01Z"]
    assert due("* * * * * *", MIDNIGHT - 1) == ["2026-01-01T00:00:00Z"]


@pytest.mark.parametrize("prefix", ["TZ", "CRON_TZ"])
def test_F6_4_a_zone_may_lead(prefix: str) -> None:
    assert due(f"{prefix}=Europe/Berlin 0 3 * * *") == ["2026-01-01T02:00:00Z"]
    assert due(f"{prefix}=Asia/Kolkata @daily") == ["2026-01-01T18:30:00Z"]


def test_an_hour_that_comes_twice_or_never_gives_one_tick_a_day() -> None:
    march, october = 1_774_656_000_000_000, 1_792_800_000_000_000  # the days before the clocks change
    for start in (march, october):
        days = due("TZ=Europe/Berlin 30 2 * * *", start, 4)
        assert len({day[:10] for day in days}) == 4


def test_ticks_always_move_on_where_clocks_are_set_back() -> None:
    every_ten = due("TZ=Europe/Berlin */10 * * * *", 1_792_800_000_000_000, 200)
    assert every_ten == sorted(set(every_ten))
    assert len(due("TZ=Europe/Berlin 15,45 2 * * *", 1_792_800_000_000_000, 6)) == 6


@pytest.mark.parametrize(
    "expression",
    [
        "", "* * *", "* * * * * * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "a * * * *", "* * * * MONDAY", "@reboot", "@daily 1",
        "TZ=Nowhere/Else 0 3 * * *", "TZ=../../etc/passwd 0 3 * * *", "TZ= 0 3 * * *", "0 3 \u0661 * *", "0 " * 400, "* * * * 9L",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_a_sentence(expression: str) -> None:
    with pytest.raises(InvalidArgument, match=r"cron expression|time zone"):
        check_expression(expression)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6 *", "0 0 30 2 */1"])
def test_R3_what_is_never_due_is_refused_within_the_budget(expression: str) -> None:
    with pytest.raises(InvalidArgument):
        check_expression(expression)


def test_no_text_of_these_letters_raises_anything_else() -> None:
    chance = random.Random(7)
    for _ in range(3_000):
        text = "".join(chance.choice("0123456789*/-,#LW@ TZ=MONJAN") for _ in range(chance.randint(1, 24)))
        try:
            check_expression(text)
        except InvalidArgument:
            continue
        assert len(text) <= EXPRESSION_CHARS_MAX
        assert next_due(text, MIDNIGHT) is not None


def test_the_end_of_the_calendar_is_no_error() -> None:
    assert next_due("0 0 1 1 *", Instant(253_402_300_799_000_000)) is None
