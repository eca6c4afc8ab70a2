"""Durations, priorities, labels, options: what users write, and the sentences they get."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from limpet import (
    ConcurrencyExpression,
    ConcurrencyLimitStrategy,
    DesiredWorkerLabel,
    Priority,
    RateLimit,
    TaskDefaults,
    TriggerWorkflowOptions,
)
from limpet.sdk.durations import duration_text, parse_duration
from limpet.sdk.labels import desired_labels_by_key
from limpet.sdk.options import concurrency_list
from limpet.sdk.priority import check_priority
from limpet.sdk.triggers import wire_labels


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(hours=2), "2h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=61), "61s"),
        (timedelta(milliseconds=500), "500ms"),
        (timedelta(seconds=1, milliseconds=5), "1005ms"),
        (timedelta(microseconds=1), "1ms"),
        ("1h30m", "1h30m"),
    ],
)
def test_TO2_durations_on_the_wire(duration: timedelta | str, text: str) -> None:
    assert duration_text(duration) == text


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=-1), "0s", "90", "", "-1s", "1 s"])
def test_TO2_durations_that_are_refused(duration: timedelta | str) -> None:
    with pytest.raises(ValueError, match="execution_timeout"):
        duration_text(duration, what="execution_timeout")


def test_duration_texts_are_summed() -> None:
    assert parse_duration("1h1.5s") == timedelta(hours=1, seconds=1.5)


@pytest.mark.parametrize("value", [0, 4, 9])
def test_PR2_priorities_are_checked_everywhere(value: int) -> None:
    with pytest.raises(ValueError, match="must be 1"):
        check_priority(value)
    with pytest.raises(ValidationError):
        TriggerWorkflowOptions(priority=value)
    with pytest.raises(ValidationError):
        TaskDefaults(priority=value)


def test_PR2_priority_members_are_numbers() -> None:
    assert [check_priority(priority) for priority in (Priority.LOW, Priority.MEDIUM, Priority.HIGH)] == [1, 2, 3]


def test_LB3_label_values() -> None:
    labels = wire_labels(
        {
            "text": DesiredWorkerLabel(value="5"),
            "bool": DesiredWorkerLabel(value=True),
            "whole": DesiredWorkerLabel(value=2.0),  # type: ignore[arg-type]
        }
    )
    assert labels["text"].str_value == "5"
    assert (labels["bool"].int_value, labels["whole"].int_value) == (1, 2)
    assert not labels["text"].HasField("weight")
    assert not labels["text"].HasField("comparator")
    assert labels["text"].HasField("required")


def test_LB3_values_that_are_refused() -> None:
    with pytest.raises(ValidationError):
        DesiredWorkerLabel(value=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="32 bits"):
        wire_labels({"big": DesiredWorkerLabel(value=3_000_000_000)})


def test_LB3_both_spellings() -> None:
    label = DesiredWorkerLabel(key="a", value=1)
    assert desired_labels_by_key([label, DesiredWorkerLabel(value=2)]) == {"a": label}
    with pytest.warns(DeprecationWarning, match="older spelling"):
        assert desired_labels_by_key({"b": label}) == {"b": label}


def test_concurrency_spellings() -> None:
    [short] = concurrency_list(3)
    assert (short.expression, short.max_runs) == ("'constant'", 3)
    assert short.limit_strategy is ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN
    with pytest.raises(ValidationError):
        ConcurrencyExpression(expression="a", max_runs=0, limit_strategy=ConcurrencyLimitStrategy.CANCEL_NEWEST)


def test_a_rate_limit_names_one_key() -> None:
    for wrong in ({}, {"static_key": "a", "dynamic_key": "b", "limit": 1}, {"dynamic_key": "b"}):
        with pytest.raises(ValidationError):
            RateLimit(**wrong)  # type: ignore[arg-type]
