"""X23: log lines are structured, and carry neither secrets nor signs that a terminal obeys."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from limpet.cli.logs import JsonLines, TextLines, clean

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ0In0.c2ln"


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    return logging.getLogger("limpet.test").makeRecord(
        "limpet.test", logging.WARNING, "f", 1, message, args, None, extra=extra or None
    )


def test_X23_a_json_line_has_the_sentence_the_event_and_the_ids() -> None:
    line = json.loads(JsonLines().format(record("worker %s lost", "w1", event="worker.lost", worker_id="w1")))
    assert line["message"] == "worker w1 lost"
    assert (line["level"], line["event"], line["worker_id"]) == ("warning", "worker.lost", "w1")
    assert line["at"].endswith("Z")


def test_a_text_line_ends_with_the_ids() -> None:
    assert TextLines().format(record("lost", event="worker.lost", worker_id="w1")).endswith("warning lost  worker_id=w1")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("authorization: Bearer abc.def", "authorization: Bearer [hidden]"),
        (f"token {JWT} refused", "token [hidden] refused"),
        ("postgresql://me:secret@db/x", "postgresql://me:[hidden]@db/x"),
        ("red \x1b[31m", "red \\x1b[31m"),
        ("two\nlines", "two\nlines"),
        ("they keyed.in.values", "they keyed.in.values"),
    ],
)
def test_X23_secrets_and_control_characters_are_taken_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_X23_a_traceback_is_cleaned_as_well() -> None:
    made = record("failed")
    try:
        raise ValueError(f"bad token {JWT}")
    except ValueError:
        made.exc_info = sys.exc_info()
    for line in (JsonLines().format(made), TextLines().format(made)):
        assert JWT not in line
        assert "ValueError" in line


def test_X23_extra_fields_are_cleaned_as_well() -> None:
    assert JWT not in JsonLines().format(record("x", reason=f"token {JWT}", cause=ValueError(JWT)))
