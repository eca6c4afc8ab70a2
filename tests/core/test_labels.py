"""Desired worker labels (assignment section 3): matching, weight, replacement at run time, changes while tasks wait."""

from __future__ import annotations

from collections import Counter

import pytest

from limpet.core.affinity import matches, score
from limpet.core.definitions import Comparator, DesiredLabel, LabelValue
from limpet.core.errors import InvalidArgument, LimitReached
from limpet.core.inputs import LabelsUpserted, RunsTriggered, Trigger, WorkerRegistered, WorkflowPut
from limpet.core.rows import EventType
from limpet.core.settings import Settings
from limpet.testing.builders import demand, make_task, make_workflow, wish
from limpet.testing.oracles import label_matches
from limpet.testing.scenario import Scenario

EQ, NE, GT, GE, LT, LE = Comparator
CELLS: tuple[tuple[Comparator, str, LabelValue | None, LabelValue, bool], ...] = (
    (EQ, "texts equal", "a", "a", True),
    (EQ, "texts differ", "a", "b", False),
    (EQ, "case counts", "A", "a", False),
    (EQ, "integers equal", 5, 5, True),
    (EQ, "integers differ", 5, 6, False),
    (EQ, "types differ", "5", 5, False),
    (EQ, "types differ, reverse", 5, "5", False),
    (EQ, "no such label", None, "a", False),
    (NE, "texts equal", "a", "a", False),
    (NE, "texts differ", "a", "b", True),
    (NE, "integers equal", 5, 5, False),
    (NE, "integers differ", 5, 6, True),
    (NE, "types differ", "5", 5, False),
    (NE, "types differ, reverse", 5, "5", False),
    (NE, "no such label", None, "a", False),
    *((how, "texts", "b", "a", False) for how in (GT, GE, LT, LE)),
    *((how, "texts, reverse", "a", "b", False) for how in (GT, GE, LT, LE)),
    *((how, "texts equal", "a", "a", False) for how in (GT, GE, LT, LE)),
    *((how, "types differ", "5", 5, False) for how in (GT, GE, LT, LE)),
    *((how, "no such label", None, 5, False) for how in (GT, GE, LT, LE)),
    (GT, "larger", 6, 5, True),
    (GT, "equal", 5, 5, False),
    (GT, "smaller", 4, 5, False),
    (GE, "larger", 6, 5, True),
    (GE, "equal", 5, 5, True),
    (GE, "smaller", 4, 5, False),
    (LT, "larger", 6, 5, False),
    (LT, "equal", 5, 5, False),
    (LT, "smaller", 4, 5, True),
    (LE, "larger", 6, 5, False),
    (LE, "equal", 5, 5, True),
    (LE, "smaller", 4, 5, True),
)


@pytest.mark.parametrize(("how", "_case", "have", "want", "expected"), CELLS, ids=[f"{c[0].name}-{c[1]}" for c in CELLS])
def test_AC39_one_label_matches_as_the_table_says(
    how: Comparator, _case: str, have: LabelValue | None, want: LabelValue, expected: bool
) -> None:
    labels = {} if have is None else {"key": have}
    assert matches(DesiredLabel("key", want, comparator=how), labels) is expected
    assert label_matches(DesiredLabel("key", want, comparator=how), labels) is expected, "the oracle must agree"


def with_labels(*labels: DesiredLabel, schedule_timeout: float = 300, slots: int = 1) -> Scenario:
    """A workflow W of one task that desires these labels."""
    s = Scenario(checks_reload=True)
    s.workflow("W", make_task("a", labels=labels, schedule_timeout=schedule_timeout, slots=slots))
    return s


def test_AC36_run_time_labels_hold_for_every_task_of_a_run_and_for_retries() -> None:
    s = Scenario(checks_reload=True)
    tasks = [make_task(f"t{n}", *([f"t{n - 1}"] if n else []), retries=1) for n in range(6)]
    s.workflow("W", *tasks, on_failure="oops")
    places = ("foo", "bar", "baz", "qux")
    for place in places:
        s.worker(place, labels={"affinity": place})
    for n in range(48):
        place = places[n % 4]
        run = s.trigger("W", labels=[demand("affinity", place)])
        for step in range(6):
            s.fail(f"t{step}", run)
            if n % 3 or step < 5:
                s.complete(f"t{step}", run)
            else:
                s.fail(f"t{step}", run)
                s.complete("oops", run)
        assert s.workers_of_run(run) == {place}
        assert s.run_status(run) == ("COMPLETED" if n % 3 else "FAILED")


def test_AC37_a_required_label_of_the_trigger_is_obeyed() -> None:
    s = with_labels()
    s.worker("w1", labels={"affinity": "bar"})
    s.worker("w2", labels={"affinity": "foo"})
    assert s.ran_on("a", s.trigger("W", labels=[demand("affinity", "foo")])) == "w2"


def test_AC38_a_required_label_nobody_matches_times_out_with_its_name() -> None:
    s = with_labels(demand("memory", 256, Comparator.LESS_THAN), schedule_timeout=3)
    s.worker("w1", labels={"memory": 512})
    run = s.trigger("W")
    s.advance(3)
    assert s.run_status(run) == "FAILED"
    assert not s.log.starts
    [moment] = s.moments(EventType.SCHEDULING_TIMED_OUT, "a")
    assert "memory < 256" in moment.message


def test_AC40_not_equal_does_not_match_a_missing_label() -> None:
    s = with_labels(demand("zone", "a", Comparator.NOT_EQUAL))
    s.worker("w1")
    s.worker("w2", labels={"zone": "b"})
    assert [s.ran_on("a", s.trigger("W")) for _ in range(5)] == ["w2"] * 5


SUMS = (wish("A", 1, weight=10), wish("B", 1, weight=20), wish("C", 1, weight=25))


def test_AC41_the_sum_of_weights_decides() -> None:
    s = with_labels(*SUMS)
    s.worker("w1", labels={"A": 1, "B": 1})
    s.worker("w2", labels={"C": 1})
    assert s.ran_on("a", s.trigger("W")) == "w1"


def test_AC42_a_full_best_match_delays_nothing() -> None:
    s = with_labels(*SUMS)
    s.worker("w1", slots=1, labels={"A": 1, "B": 1})
    s.worker("w2", labels={"C": 1})
    assert [s.ran_on("a", s.trigger("W")) for _ in range(2)] == ["w1", "w2"]


def test_AC43_equal_matches_share_the_work() -> None:
    s = with_labels(wish("A", 1))
    for name in ("w1", "w2"):
        s.worker(name, slots=10, labels={"A": 1})
    s.worker("w3", slots=10)
    assert Counter(s.ran_on("a", s.trigger("W")) for _ in range(10)) == {"w1": 5, "w2": 5}


def test_AC44_a_negative_weight_means_rather_not() -> None:
    s = with_labels(wish("slow", 1, weight=-50))
    s.worker("w1", slots=1, labels={"slow": 1})
    s.worker("w2", slots=1)
    assert [s.ran_on("a", s.trigger("W")) for _ in range(2)] == ["w2", "w1"]


def test_AC45_run_time_labels_replace_the_definitions() -> None:
    s = with_labels(demand("model", "x"))
    s.worker("w1", labels={"zone": "a"})
    assert s.ran_on("a", s.trigger("W", labels=[demand("zone", "a")])) == "w1"


def test_AC46_a_label_that_a_task_upserts_places_the_waiting_task_at_once() -> None:
    s = with_labels(demand("model", "v2"))
    s.workflow("Loader", "load")
    s.worker("w1", labels={"model": "v1", "zone": "a"})
    s.trigger("Loader")
    run = s.trigger("W")
    assert s.status("a", run) == "QUEUED"
    s.label("w1", model="v2")
    assert s.ran_on("a", run) == "w1"
    view = s.machine.worker(s.workers["w1"].id)
    assert view is not None
    assert dict(view.labels) == {"model": "v2", "zone": "a"}


@pytest.mark.parametrize(("have", "want"), [("5", 5), (5, "5")])
def test_AC47_a_text_is_no_number(have: LabelValue, want: LabelValue) -> None:
    s = with_labels(demand("n", want))
    s.worker("w1", labels={"n": have})
    assert s.status("a", s.trigger("W")) == "QUEUED"


def test_AC89_a_required_order_between_texts_is_refused() -> None:
    s = with_labels()
    never = demand("version", "1.2", Comparator.GREATER_THAN)
    with pytest.raises(InvalidArgument, match="compares texts by order"):
        s.do(WorkflowPut(make_workflow("V", make_task("a", labels=[never]))))
    with pytest.raises(InvalidArgument, match="compares texts by order"):
        s.ask(RunsTriggered((Trigger("W", desired_labels=(never,)),)), tuple)


def test_AC89_an_optional_order_between_texts_is_accepted_and_never_scores() -> None:
    label = wish("version", "1.2", comparator=Comparator.GREATER_THAN)
    s = with_labels(label)
    s.worker("w1", labels={"version": "1.3"})
    s.trigger("W")
    assert s.ran_on("a") == "w1"
    assert score([label], {"version": "1.3"}) == 0
    assert "never matches" in s.moments(EventType.QUEUED, "a")[0].message


def test_AC90_every_required_label_must_match() -> None:
    s = with_labels(demand("gpu", 1), demand("zone", "a"))
    s.worker("w1", labels={"gpu": 1, "zone": "b"})
    assert s.status("a", s.trigger("W")) == "QUEUED"


def test_AC91_children_do_not_inherit_run_time_labels() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("w1", slots=1, labels={"zone": "a"})
    s.worker("w2", slots=1)
    parent = s.trigger("W", labels=[demand("zone", "a")])
    child = s.trigger("W", parent=parent, child_index=0)
    assert (s.ran_on("a", parent), s.ran_on("a", child)) == ("w1", "w2")


def test_LB09_required_labels_count_with_their_weight() -> None:
    assert score([demand("a", 1, weight=7), wish("b", 1, weight=5), wish("c", 1)], {"a": 1, "b": 1}) == 12


def test_LB12_lower_scores_only_after_all_of_the_best_are_full() -> None:
    s = with_labels(wish("A", 1, weight=10), wish("B", 1, weight=5))
    s.worker("b", slots=2, labels={"B": 1})
    s.worker("a1", slots=1, labels={"A": 1})
    s.worker("none", slots=2)
    s.worker("a2", slots=1, labels={"A": 1})
    places = [s.ran_on("a", s.trigger("W")) for _ in range(6)]
    assert set(places[:2]) == {"a1", "a2"}
    assert places[2:] == ["b", "b", "none", "none"]


def test_LB12_a_worker_whose_label_comes_and_goes_is_ranked_by_what_it_has_now() -> None:
    """Put out of the pool and let in again, with another weight: an old ranking must not be found."""
    s = with_labels(demand("zone", "a"), wish("fast", 1, weight=50))
    s.worker("w1", labels={"zone": "a", "fast": 1})
    s.worker("w2", labels={"zone": "a"})
    s.complete("a", s.trigger("W"))
    s.label("w1", zone="b")
    s.complete("a", s.trigger("W"))
    s.label("w1", zone="a", fast=0)
    s.label("w2", fast=1)
    assert [s.ran_on("a", s.trigger("W")) for _ in range(3)] == ["w2"] * 3


def test_LB19_a_label_can_be_removed_and_an_unknown_worker_is_not_found() -> None:
    s = with_labels(demand("zone", "a"))
    w1 = s.worker("w1", labels={"zone": "a", "gpu": 1})
    s.do(LabelsUpserted(w1, (), removed=("zone",)))
    assert s.status("a", s.trigger("W")) == "QUEUED"
    with pytest.raises(Exception, match="not found"):
        s.do(LabelsUpserted("nobody", (("a", 1),)))


def test_labels_have_a_limit_with_a_name() -> None:
    s = Scenario(Settings(labels_max=2))
    too_many = tuple((str(n), n) for n in range(3))
    with pytest.raises(LimitReached, match="labels_max"):
        s.do(WorkerRegistered("w", (), (("default", 1),), too_many))
    with pytest.raises(LimitReached, match="labels_max"):
        s.do(LabelsUpserted(s.worker("w1", []), too_many))
    with pytest.raises(LimitReached, match="labels_max"):
        s.workflow("V", make_task("a", labels=[wish(str(n), n) for n in range(3)]))
    s.workflow("W", "a")
    with pytest.raises(LimitReached, match="labels_max"):
        s.trigger("W", labels=[wish(str(n), n) for n in range(3)])
