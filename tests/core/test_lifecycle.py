"""The transition table: every row happens, everything else asserts, and a run's status follows from its tasks."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.core import attempts, runs
from limpet.core.lifecycle import TASK_RUN, Cause, after, final_run_status, open_run_status
from limpet.core.records import UnusableKey
from limpet.core.rows import RunStatus, TaskStatus
from limpet.core.settings import Settings
from limpet.testing.builders import limit, make_task, output_of
from limpet.testing.scenario import Scenario

OUTSIDE = sorted(set(product(TaskStatus, Cause)) - set(TASK_RUN))


def test_a_row_of_the_table_gives_its_status() -> None:
    assert all(after(status, cause) is target for (status, cause), target in TASK_RUN.items())


@pytest.mark.parametrize(("status", "cause"), OUTSIDE, ids=[f"{status.name}-{cause.name}" for status, cause in OUTSIDE])
def test_a_pair_outside_the_table_asserts(status: TaskStatus, cause: Cause) -> None:
    with pytest.raises(AssertionError, match=f"no transition for a {status.name} task because of: {cause}"):
        after(status, cause)


def test_T2_what_has_ended_is_left_only_by_a_replay() -> None:
    assert {cause for status, cause in TASK_RUN if status.is_terminal} == {Cause.REPLAY}


def test_every_transition_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[tuple[TaskStatus, Cause]] = set()

    def noting(status: TaskStatus, cause: Cause) -> TaskStatus:
        seen.add((status, cause))
        return after(status, cause)

    for module in (attempts, runs):
        monkeypatch.setattr(module, "after", noting)
    for life in (lives_of_attempts, lives_of_waiting, lives_of_graphs, lives_of_conditions, lives_of_ended):
        life()
    assert set(TASK_RUN) == seen


def tenant(*, confirms: bool = True) -> Scenario:
    s = Scenario(Settings(message_bytes_max=60_000, payload_bytes_max=40_000))
    s.workflow("W", make_task("a", retries=1), make_task("b", "a"), on_failure="oops")
    s.workflow("Slow", make_task("slow", retries=1, backoff=5))
    s.worker("w1", confirms=confirms)
    return s


def lives_of_attempts() -> None:
    """Assigned and running attempts, and every way they end."""
    for confirms in (False, True):
        s = tenant(confirms=confirms)
        s.complete("a", s.trigger("W"))
        for run in [s.trigger("W"), s.trigger("Slow")]:
            name = "a" if s.has_task("a", run) else "slow"
            s.fail(name, run)
            s.advance(5)
            s.fail(name, run)
        s.cancel(s.trigger("W"))
        s.trigger("W")
        s.unsubscribe("w1")
    s = tenant(confirms=False)
    s.trigger("W")
    s.undeliverable("a")


def lives_of_waiting() -> None:
    """Queued and delayed tasks."""
    s = tenant()
    s.pause("w1")
    s.cancel(s.trigger("W"))
    s.trigger("W")
    s.advance(301)
    s.unpause("w1")
    run = s.trigger("Slow")
    s.fail("slow")
    s.cancel(run)


def lives_of_graphs() -> None:
    """Tasks that are created by what their parents did."""
    s = tenant()
    run = s.trigger("W", input=b"1" * 30_000)
    s.complete("a", output=b"1" * 20_000)
    assert s.status("b", run) == "FAILED"
    s.workflow("Limited", make_task("l", concurrency=[limit("k")]))
    s.trigger("Limited", keys={"k": UnusableKey("no such key")})
    s.trigger("W")
    s.fail("a", retryable=False)
    s.run_to_end()


def lives_of_conditions() -> None:
    """Tasks whose conditions let them run, skip them, cancel them, or can never hold."""
    s = tenant()
    s.workflow(
        "Choosy",
        make_task("top"),
        make_task("runs", "top", wait_for=[output_of("top")]),
        make_task("skipped", "top", skip_if=[output_of("top")]),
        make_task("below", "skipped"),
        make_task("cancelled", "top", cancel_if=[output_of("top")]),
        make_task("never", "top", wait_for=[output_of("top", "output.ready")]),
    )
    s.worker("w2")
    s.trigger("Choosy")
    s.complete("top")


def lives_of_ended() -> None:
    """Replays of every kind of end."""
    s = tenant()
    run = s.trigger("W")
    s.run_to_end()
    s.replay(run)
    s.cancel(run)
    s.replay(run)
    s.fail("a", retryable=False)
    s.run_to_end()
    s.replay(run)


STATUSES = st.lists(st.sampled_from([status for status in TaskStatus if status.is_terminal]), min_size=1)


@given(STATUSES)
def test_OB05_a_finished_run_failed_if_any_failed_else_cancelled_if_any_was(statuses: list[TaskStatus]) -> None:
    final = final_run_status(statuses)
    if TaskStatus.FAILED in statuses:
        assert final is RunStatus.FAILED
    elif TaskStatus.CANCELLED in statuses:
        assert final is RunStatus.CANCELLED
    else:
        assert final is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("is_single", "started", "any_live", "status"),
    [
        (True, False, False, RunStatus.QUEUED),
        (True, True, True, RunStatus.RUNNING),
        (True, True, False, RunStatus.QUEUED),
        (False, False, False, RunStatus.QUEUED),
        (False, True, True, RunStatus.RUNNING),
        (False, True, False, RunStatus.RUNNING),
    ],
)
def test_W13_4_an_open_run(is_single: bool, started: bool, any_live: bool, status: RunStatus) -> None:
    assert open_run_status(is_single=is_single, started=started, any_live=any_live) is status


def test_the_table_names_only_statuses_and_causes_that_are_used() -> None:
    assert {cause for _, cause in TASK_RUN} == set(Cause)
    assert {*TASK_RUN.values(), *(status for status, _ in TASK_RUN)} == set(TaskStatus)
