"""What a definition must fulfil (W2.13), how it becomes bytes (W3.1), and what an engine says that lacks a feature."""

from __future__ import annotations

from dataclasses import replace

import pytest

from limpet.core.definition_rules import check_definition
from limpet.core.definition_text import checksum, decode_definition, encode_definition
from limpet.core.definitions import CHANGES_OUTCOME, Feature, StickyStrategy, TaskDefinition, WorkflowDefinition
from limpet.core.errors import InvalidArgument, LimitReached, NotSupported
from limpet.core.inputs import WorkflowPut, WorkflowPutReply
from limpet.core.rows import EventType
from limpet.core.settings import Settings
from limpet.core.undelivered import OLDER
from limpet.testing.builders import demand, make_task, make_workflow, wish
from limpet.testing.scenario import Scenario


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (make_task("no spaces"), "'no spaces' is not usable"),
        (make_task(""), "is not usable"),
        (replace(make_task("a"), action_id=""), "action id"),
        (make_task("a", retries=-1), "retries must be 0 or more, got -1"),
        (make_task("a", execution_timeout=-1), "must not be negative"),
        (make_task("a", schedule_timeout=-1), "must not be negative"),
        (make_task("a", backoff=0.5), "between 1 and 1000, got 0.5"),
        (make_task("a", backoff=1001), "between 1 and 1000, got 1001"),
        (make_task("a", backoff=2, backoff_max=0.5), "between 1 and 86400 seconds, got 0.5"),
        (make_task("a", backoff=2, backoff_max=86_401), "between 1 and 86400 seconds, got 86401"),
        (make_task("a", slots=0), "1 or more units"),
        (make_task("a", slots={"": 1}), "needs a type"),
        (make_task("a", "a"), "cycle: a"),
    ],
)
def test_W2_13_a_task_that_is_refused_is_named(task: TaskDefinition, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence) as caught:
        check_definition(make_workflow("W", task))
    assert "W" in str(caught.value)


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        (make_workflow("no/slashes"), "not usable"),
        (make_workflow("x" * 256), "not usable"),
        (WorkflowDefinition("W", ()), "has no task"),
        (make_workflow("W", "a", "b", "a"), "occur twice: a"),
        (make_workflow("W", "a", on_failure="a"), "occur twice: a"),
        (make_workflow("W", "a", make_task("b", "oops"), on_failure="oops"), "parent oops does not exist"),
        (make_workflow("W", make_task("a", "b"), make_task("b", "c"), make_task("c", "b")), "cycle: a, b, c"),
        (make_workflow("W", "a", priority=0), "between 1 and 3, got 0"),
    ],
)
def test_W2_13_a_workflow_that_is_refused_says_why(definition: WorkflowDefinition, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        check_definition(definition)


def test_W2_13_limits_have_names() -> None:
    with pytest.raises(LimitReached, match="dag_tasks_max"):
        check_definition(make_workflow("W", "a", "b"), Settings(dag_tasks_max=1))
    with pytest.raises(LimitReached, match="labels_max"):
        check_definition(make_workflow("W", make_task("a", labels=[wish("a", 1), wish("b", 1)])), Settings(labels_max=1))


def test_a_back_off_cap_without_a_factor_is_ignored() -> None:
    check_definition(make_workflow("W", make_task("a", backoff_max=0)))


def test_the_settings_of_the_tenant_hold() -> None:
    s = Scenario(Settings(dag_tasks_max=1))
    with pytest.raises(LimitReached):
        s.workflow("W", "a", "b")


def test_a_definition_survives_being_written_down() -> None:
    definition = make_workflow(
        "W",
        make_task("a", retries=2, backoff=1.5, labels=[demand("zone", "a"), wish("n", 5, weight=-3)], slots={"gpu": 2}),
        make_task("b", "a"),
        sticky=StickyStrategy.HARD,
        priority=2,
        on_failure="oops",
    )
    text = encode_definition(definition)
    assert decode_definition(text) == definition
    assert checksum(text) == checksum(encode_definition(decode_definition(text)))
    assert checksum(encode_definition(replace(definition, sticky=StickyStrategy.SOFT))) != checksum(text)


def test_R47_a_definition_of_an_older_release_is_still_read() -> None:
    assert decode_definition(b'{"name":"W","tasks":[{"name":"a","action_id":"a"}]}') == make_workflow("W", "a")


@pytest.mark.parametrize("feature", sorted(set(Feature) - OLDER))
def test_a_feature_that_is_not_carried_out_is_said_at_registration(feature: Feature) -> None:
    s = Scenario()
    definition = replace(make_workflow("W", "a"), undelivered=((feature, "task a"),))
    s.ask(WorkflowPut(definition), WorkflowPutReply)
    [warning] = s.log.decisions[-1][1].notices
    assert f"does not carry out {feature} yet" in warning
    s.ask(WorkflowPut(definition), WorkflowPutReply)
    assert s.log.decisions[-1][1].notices == [], "the same version again is no news"
    if feature in CHANGES_OUTCOME:
        with pytest.raises(NotSupported, match="would end differently"):
            s.trigger("W")
        assert not s.tables.runs
    else:
        s.trigger("W")
        assert [moment.message for moment in s.moments(EventType.QUEUED, "a")] == [warning]
