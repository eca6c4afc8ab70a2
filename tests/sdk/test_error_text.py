"""Errors as texts (W7.14): ours and the official package's read each other's."""

from __future__ import annotations

import pytest

from limpet import DedupeViolationError, FailedTaskRunExceptionGroup, TaskRunError
from limpet.sdk.exceptions import run_failure
from tests.sdk.official_surface import official

OfficialError = official("exceptions").TaskRunError

CASES = [
    TaskRunError("boom", "ValueError", "Traceback\n  line", "11111111-1111-1111-1111-111111111111"),
    TaskRunError("two\nlines", "ValueError", "trace", None),
    TaskRunError("a: b", "Odd: Type", "trace", None),
    TaskRunError("", "KeyError", "trace", None),
]


@pytest.mark.parametrize("error", CASES, ids=lambda error: error.exc_type)
def test_W7_14_round_trip(error: TaskRunError) -> None:
    read = TaskRunError.deserialize(error.serialize(include_metadata=True))
    assert (read.exc, read.exc_type, read.trace, read.task_run_external_id) == (
        error.exc,
        error.exc_type,
        error.trace,
        error.task_run_external_id,
    )


@pytest.mark.parametrize("error", CASES[:1], ids=lambda error: error.exc_type)
def test_W7_14_the_official_package_writes_and_reads_the_same(error: TaskRunError) -> None:
    theirs = OfficialError(error.exc, error.exc_type, error.trace, error.task_run_external_id)
    assert theirs.serialize(include_metadata=True) == error.serialize(include_metadata=True)
    read = OfficialError.deserialize(error.serialize(include_metadata=True))
    assert (read.exc, read.exc_type, read.trace) == (error.exc, error.exc_type, error.trace)


@pytest.mark.parametrize("text", ["plain text", "Task exceeded timeout of 1s", "Type: without trace"])
def test_W7_14_other_texts_become_the_message(text: str) -> None:
    read = TaskRunError.deserialize(text)
    theirs = OfficialError.deserialize(text)
    assert (read.exc, read.exc_type) == (theirs.exc, theirs.exc_type) == (text, "HatchetError")


def test_W7_13_a_text_is_never_empty() -> None:
    assert TaskRunError.from_exception(ValueError(), None).serialize(include_metadata=False).startswith("ValueError")


def test_W8_7_a_failed_run_names_the_run_and_each_error() -> None:
    failure = run_failure("run-7", [error.serialize(include_metadata=True) for error in CASES[:2]])
    assert isinstance(failure, FailedTaskRunExceptionGroup)
    assert [error.exc for error in failure.exceptions] == ["boom", "two\nlines"]
    for part in ("run-7", "boom", "two"):
        assert part in str(failure)


def test_a_duplicate_has_an_error_of_its_own() -> None:
    assert isinstance(run_failure("r", ["DUPLICATE_WORKFLOW_RUN: taken"]), DedupeViolationError)
