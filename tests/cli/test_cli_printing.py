"""How answers look, and that nothing in them can command a terminal."""

from __future__ import annotations

import json

import pytest

from limpet.cli.printing import cell_text, moment, pairs, parse_instant, print_json, print_table, span


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "-"), (0, "0 ms"), (999, "999 ms"), (1_500, "1.5 s"), (125_000, "2 min 05 s"), (3_720_000, "1 h 02 min")],
)
def test_a_span_is_shown_in_the_unit_that_fits(milliseconds: int | None, text: str) -> None:
    assert span(milliseconds) == text


def test_a_cell_shows_control_characters_instead_of_sending_them() -> None:
    assert cell_text("a\x1b[31mred\nline") == "a\\x1b[31mred\\nline"


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_cell_is_a_dash(nothing: object) -> None:
    assert cell_text(nothing) == "-"


def test_zero_is_not_nothing() -> None:
    assert cell_text(0) == "0"


def test_an_instant_without_offset_is_utc() -> None:
    assert parse_instant("2026-01-02T03:04:05") == parse_instant("2026-01-02T04:04:05+01:00")


def test_no_instant_is_a_dash() -> None:
    assert moment(None) == "-"


def test_pairs_are_joined_and_none_is_a_dash() -> None:
    assert pairs({"a": 1, "b": "x"}) == "a=1 b=x"
    assert pairs({}) == "-"


def test_a_table_has_headings_and_whole_ids_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    identity = "01934f2e-0000-7000-8000-000000000001"
    print_table(("run", "status"), [(identity, "QUEUED"), ("[bold]x[/bold]", None)], empty="none")
    printed = capsys.readouterr().out
    assert "run" in printed
    assert identity in printed
    assert "[bold]x[/bold]" in printed


def test_no_rows_are_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("run",), [], empty="There is no run.")
    assert capsys.readouterr().out == "There is no run.\n"


def test_json_is_one_line_when_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, "é"]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"a": [1, "é"]}
    assert printed.count("\n") == 1
