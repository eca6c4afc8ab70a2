"""How answers look, and that nothing in them can command a terminal."""

from __future__ import annotations

import json
import sys

import pytest

from limpet.cli.failures import headline, traceback_lines
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


@pytest.mark.parametrize(
    ("text", "said", "where"),
    [
        ("ValueError: a\\\nb\nTraceback (most recent call last):\n  File x\n", "ValueError: a\nb", 2),
        ('OSError: gone\nTraceback:\n\n{"__hatchet_error_metadata__": {"task_run_external_id": "t"}}', "OSError: gone", 1),
        ("Scheduling timed out after 300s", "Scheduling timed out after 300s", 0),
    ],
)
def test_the_error_text_of_a_task_is_a_sentence_and_a_traceback(text: str, said: str, where: int) -> None:
    assert headline(text) == said
    assert len(traceback_lines(text)) == where


def test_zero_is_not_nothing() -> None:
    assert cell_text(0) == "0"


def test_an_instant_without_offset_is_utc() -> None:
    assert parse_instant("2026-01-02T03:04:05") == parse_instant("2026-01-02T04:04:05+01:00")


def test_no_instant_is_a_dash() -> None:
    assert moment(None) == "-"


def test_an_instant_is_shown_to_the_second_or_finer() -> None:
    assert len(moment("2026-01-02T03:04:05.678901Z")) == len("2026-01-02 03:04:05")
    assert moment("2026-01-02T03:04:05.678901Z", "milliseconds").endswith("05.678")


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


def test_a_column_without_a_value_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "labels", "status"), [("w1", None, "ACTIVE"), ("w2", "", "PAUSED")], empty="none")
    heading, _, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "status"]
    assert [row.split() for row in rows] == [["w1", "ACTIVE"], ["w2", "PAUSED"]]


@pytest.mark.parametrize("width", [20, 60, 80, 100, 120])
def test_nothing_is_lost_on_a_narrow_terminal_and_ids_stay_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    identity = "01934f2e-0000-7000-8000-000000000001"
    cells = (identity, "nightly-report-of-everything", "COMPLETED", "2026-11-27 10:59:06", "2.5 s", "customer=42 region=eu")
    print_table(("run", "workflow", "status", "created", "took", "metadata"), [cells], empty="none")
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert identity in lines[0]
    assert sorted("".join(lines).replace(" ", "")) == sorted("".join(cells).replace(" ", ""))
    if width >= 100:
        assert max(map(len, lines)) <= width


def test_no_rows_are_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("run",), [], empty="There is no run.")
    assert capsys.readouterr().out == "There is no run.\n"


def test_json_is_one_line_when_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, "é"]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"a": [1, "é"]}
    assert printed.count("\n") == 1
