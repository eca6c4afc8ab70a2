"""Duration texts (TO-1, AC-68)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.core.durations import DURATION_MAX_US, DURATION_TEXT_MAX, format_duration, parse_duration
from limpet.core.errors import InvalidArgument

HOUR, MINUTE, SECOND, MILLI = 3_600_000_000, 60_000_000, 1_000_000, 1_000


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1h30m", HOUR + 30 * MINUTE),
        ("1.5h", HOUR + 30 * MINUTE),
        ("500ms", 500 * MILLI),
        (".5s", SECOND // 2),
        ("60s", MINUTE),
        ("0h", 0),
        ("1m1m", 2 * MINUTE),
        ("1s500ms", 1_500 * MILLI),
        ("0.0015ms", 1),
        ("876000h", DURATION_MAX_US),
    ],
)
def test_AC68_accepted_texts_add_up(text: str, us: int) -> None:
    assert parse_duration(text) == us


@pytest.mark.parametrize(
    "text",
    ["42", "-30s", "1d", "5 s", "", "s", "1.s", "+1s", "1S", "1h-3m", "1,5s", "٣s", "1s\n", "1w", "1us", "1e3s", ".s", "1..5s"],
)
def test_AC68_rejected_texts_name_themselves_and_what_would_do(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"schedule timeout .* is not usable; write numbers with ms, s, m or h"):
        parse_duration(text, "schedule timeout")


def test_a_text_longer_than_a_century_is_too_long() -> None:
    with pytest.raises(InvalidArgument, match="too long; at most 876000h"):
        parse_duration("876001h")


def test_an_endless_text_is_refused_before_its_digits_are_read() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_duration("9" * 1_000_000 + "s")
    assert len(str(caught.value)) < 3 * DURATION_TEXT_MAX


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0s"),
        (2 * SECOND, "2s"),
        (90 * MINUTE, "1h30m"),
        (500 * MILLI, "500ms"),
        (1_500, "1.5ms"),
        (1, "0.001ms"),
        (HOUR, "1h"),
    ],
)
def test_formatted_texts_are_short(us: int, text: str) -> None:
    assert format_duration(us) == text


@given(st.integers(min_value=0, max_value=DURATION_MAX_US))
def test_what_is_written_is_read_back(us: int) -> None:
    assert parse_duration(format_duration(us)) == us
