"""Workers (assignment section 5): who is assignable, lost streams, receipts, death and reassignment, late reports, restarts."""

from __future__ import annotations

import pytest

from limpet.core.decision import CloseStreams
from limpet.core.definitions import StickyStrategy
from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.inputs import StreamClosed, StreamOpened, TaskCompleted, TaskStarted, WorkerPaused, WorkerRegistered, WorkerSeen
from limpet.core.rows import EventType, TaskStatus
from limpet.core.settings import Settings
from limpet.testing.builders import make_task
from limpet.testing.scenario import Scenario


def simple(settings: Settings | None = None, **options: float) -> Scenario:
    """A workflow W of one task a."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", make_task("a", **options))  # type: ignore[arg-type]
    return s


def test_AC58_a_worker_that_never_listens_gets_nothing() -> None:
    s = simple()
    s.worker("w1", listens=False)
    run = s.trigger("W")
    s.advance(10)
    assert s.run_status(run) == "QUEUED"
    assert not s.log.starts


def test_AC61_a_stream_that_breaks_and_returns_changes_nothing_for_a_running_task() -> None:
    s = simple()
    s.worker("w1")
    s.worker("w2", listens=False)
    run = s.trigger("W")
    s.close_stream("w1")
    s.reopen("w2")
    s.advance(5)
    s.reopen("w1")
    s.complete("a", by="w1")
    assert s.run_status(run) == "COMPLETED"
    assert "REASSIGNED" not in s.events("a")
    assert s.workers_of("a") == ["w1"]


def test_AC62_a_frozen_worker_is_given_up_and_its_late_report_changes_nothing() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"))
    s.worker("w1")
    run = s.trigger("W")
    s.worker("w2")
    s.freeze("w1")
    s.advance(45)
    assert s.workers_of("a") == ["w1", "w2"]
    assert s.task("a").retry_count == 1
    s.complete("a")
    s.thaw("w1")
    s.complete("a", attempt=0, by="w1", output=b'"late"')
    assert s.log.stale == {"superseded attempt": 1}
    assert s.task("a").output == b"{}"
    assert s.workers_of("b") == ["w2"]
    s.complete("b")
    assert s.run_status(run) == "COMPLETED"
    [moment] = s.moments(EventType.REASSIGNED, "a")
    assert (moment.attempt, moment.worker) == (0, "w1")
    assert "30 seconds" in moment.message


def test_AC63_a_report_after_a_cancel_or_a_second_one_has_no_effect() -> None:
    s = simple()
    s.worker("w1")
    run = s.trigger("W")
    s.cancel(run)
    s.complete("a", run, by="w1")
    assert s.run_status(run) == "CANCELLED"
    other = s.trigger("W")
    s.complete("a", other)
    s.complete("a", other)
    assert s.run_status(other) == "COMPLETED"
    assert s.events("a", other).count("FINISHED") == 1
    assert sum(s.log.stale.values()) == 2


def test_AC64_an_unconfirmed_start_is_taken_back_five_seconds_after_its_stream_ended() -> None:
    s = simple()
    s.worker("w1", confirms=False)
    s.trigger("W")
    s.close_stream("w1")
    s.reopen("w1")
    s.advance(4.9)
    assert s.task("a").retry_count == 0
    s.advance(0.2)
    row = s.task("a")
    assert (row.retry_count, row.internal_retries, row.app_retries) == (1, 1, 0)
    assert "REASSIGNED" in s.events("a")


def test_AC65_a_task_that_kills_every_worker_ends_with_a_clear_reason() -> None:
    s = simple(Settings(internal_retries_max=2))
    run = s.trigger("W")
    for n in range(4):
        s.worker(f"w{n}", ["a"], confirms=False)
        s.unsubscribe(f"w{n}")
    assert s.run_status(run) == "FAILED"
    assert "maximum reassignment count" in s.error("a")
    assert len(s.workers_of("a")) == 3


def test_AC65b_the_engines_own_restarts_count_as_nobodys_fault() -> None:
    s = simple(Settings(internal_retries_max=2))
    s.worker("w1", confirms=False)
    run = s.trigger("W")
    for _ in range(5):
        s.restart(down_for=1)
        s.advance(16)
    row = s.task("a")
    assert (row.retry_count, row.internal_retries) == (5, 0)
    s.started("a")
    s.complete("a")
    assert s.run_status(run) == "COMPLETED"


def test_AC78_tasks_survive_an_engine_that_is_killed() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"))
    s.worker("w1", confirms=False)
    s.worker("w2", confirms=False)
    runs = [s.trigger("W") for _ in range(100)]
    confirmed = [s.task("a", run) for run in runs[::2]]
    s.step(*(TaskStarted(row.id, 0, "") for row in confirmed))
    s.restart(down_for=9)
    for worker in s.workers.values():
        worker.confirms = True
    s.advance(16)
    again = [s.task("a", run).retry_count for run in runs]
    assert again == [0, 1] * 50, "only what was never confirmed runs again"
    s.run_to_end()
    assert {s.run_status(run) for run in runs} == {"COMPLETED"}
    assert s.free_slots("w1") == s.free_slots("w2") == 100


def test_R26_an_outcome_that_arrives_after_a_restart_without_a_receipt_counts() -> None:
    s = simple()
    s.worker("w1", confirms=False)
    run = s.trigger("W")
    s.restart()
    s.complete("a")
    assert s.run_status(run) == "COMPLETED"
    assert s.workers_of("a") == ["w1"]


def test_AC95_a_missed_beat_does_not_flap_and_twelve_silent_seconds_do() -> None:
    s = simple()
    s.worker("w1")
    s.advance(4)
    s.freeze("w1")
    s.advance(8)
    s.thaw("w1")
    s.freeze("w1")
    s.advance(12)
    assert s.ran_on("a", s.trigger("W")) == "w1", "12 s of silence are still allowed"
    s.advance(0.001)
    run = s.trigger("W")
    assert s.status("a", run) == "QUEUED"
    assert "disconnected" in s.explain("a", run).text
    s.thaw("w1")
    assert s.ran_on("a", run) == "w1", "any sign of life places what waits (WK-12)"


def test_AC95b_the_name_of_a_worker_is_ignored_and_another_workers_id_makes_a_report_stale() -> None:
    s = simple()
    s.worker("w1", slots=1)
    other = s.worker("w2", slots=0)
    first = s.trigger("W")
    row = s.task("a", first)
    s.step(TaskCompleted(row.id, 0, other))
    assert s.status("a") == "RUNNING"
    assert s.log.stale == {"another worker's attempt": 1}
    s.step(TaskCompleted(row.id, 0, "w1"))  # its name, not its id
    assert s.run_status(first) == "COMPLETED"


def test_AC96_closing_an_older_stream_leaves_the_newer_one_in_charge() -> None:
    s = simple()
    w1 = s.worker("w1")
    older = s.workers["w1"].session
    assert older is not None
    s.reopen("w1")
    s.do(StreamClosed(w1, older))
    run = s.trigger("W")
    assert s.workers_of("a", run) == ["w1"]
    view = s.machine.worker(w1)
    assert view is not None
    assert view.stream_open


def test_WK17_the_newest_stream_gets_starts() -> None:
    s = simple()
    w1 = s.worker("w1", confirms=False)
    newest = (s.workers["w1"].session or 0) + 10
    s.do(StreamOpened(w1, newest))
    s.trigger("W")
    s.do(StreamClosed(w1, s.workers["w1"].session or 0))
    s.advance(6)
    assert s.task("a").retry_count == 0, "the start went to the other stream, which is open"


def test_WK17b_a_lost_worker_is_taken_back_when_it_listens_again() -> None:
    s = simple()
    w1 = s.worker("w1")
    s.kill("w1")
    s.advance(31)
    assert s.machine.worker(w1).lost_at is not None  # type: ignore[union-attr]
    s.reopen("w1")
    assert s.machine.worker(w1).lost_at is None  # type: ignore[union-attr]
    assert s.ran_on("a", s.trigger("W")) == "w1"
    s.kill("w1")
    s.advance(31)
    assert s.machine.worker(w1).lost_at is not None, "it can be lost again"  # type: ignore[union-attr]


def test_WK08c_a_deaf_stream_is_closed_after_thirty_seconds_and_the_task_taken_back_five_later() -> None:
    s = simple()
    s.worker("w1", confirms=False)
    s.trigger("W")
    s.advance(29.9)
    assert s.workers["w1"].session is not None
    s.advance(0.2)
    closes = [d for _, decision in s.log.decisions for d in decision.deliveries if isinstance(d, CloseStreams)]
    assert len(closes) == 1
    assert s.workers["w1"].session is None
    s.advance(4.8)
    assert s.task("a").retry_count == 0
    s.advance(0.2)
    assert s.task("a").retry_count == 1


def test_WK20_an_undeliverable_start_waits_longer_each_time() -> None:
    s = simple()
    s.worker("w1", confirms=False)
    s.trigger("W")
    waits = []
    for _ in range(8):
        s.undeliverable("a")
        row = s.task("a")
        assert row.not_before is not None
        waits.append((row.not_before - s.now) / 1_000_000)
        s.advance(waits[-1])
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]
    assert s.events("a").count("COULD_NOT_SEND_TO_WORKER") == 8
    assert "FAILED" not in s.events("a")


def test_WK20_an_undeliverable_start_that_was_confirmed_meanwhile_is_no_news() -> None:
    s = simple()
    s.worker("w1")
    s.trigger("W")
    s.undeliverable("a")
    assert s.status("a") == "RUNNING"


def test_WK22_a_second_receipt_is_harmless() -> None:
    s = simple()
    s.worker("w1")
    s.trigger("W")
    before = s.task("a")
    s.started("a")
    assert s.task("a") == before
    assert s.events("a").count("STARTED") == 1


def test_WK25_a_start_that_lasted_a_minute_clears_the_internal_count() -> None:
    s = simple(Settings(internal_retries_max=1), execution_timeout=1000)
    s.worker("w0")
    run = s.trigger("W")
    for n in range(1, 5):
        s.advance(61)
        s.worker(f"w{n}", ["a"])
        s.unsubscribe(f"w{n - 1}")
        assert s.task("a").internal_retries == 1
    s.complete("a")
    assert s.run_status(run) == "COMPLETED"
    assert s.task("a").retry_count == 4


def test_WK29_a_report_without_an_attempt_number_means_the_current_one() -> None:
    s = simple()
    s.worker("w1")
    run = s.trigger("W")
    s.do(TaskCompleted(s.task("a").id, None, "w1"))
    assert s.run_status(run) == "COMPLETED"


def test_WK29_reports_about_unknown_tasks_are_answered_and_counted() -> None:
    s = simple()
    s.do(TaskCompleted("nothing", 0, "nobody"))
    assert s.log.stale == {"unknown or ended task": 1}


def test_CN03_a_worker_that_starts_a_superseded_attempt_is_told_to_stop() -> None:
    s = simple()
    s.worker("w1", confirms=False)
    s.trigger("W")
    s.close_stream("w1")
    s.advance(5.1)
    s.worker("w2", ["a"])
    s.reopen("w1")
    s.started("a", attempt=0, by="w1")
    assert ("w1", 0) in s.cancels_for("a")


def test_WK32_a_pause_stops_new_starts_and_leaves_running_tasks_alone() -> None:
    s = simple()
    s.worker("w1")
    first = s.trigger("W")
    s.pause("w1")
    second = s.trigger("W")
    assert (s.status("a", first), s.status("a", second)) == ("RUNNING", "QUEUED")
    s.complete("a", first)
    assert s.status("a", second) == "QUEUED"
    s.unpause("w1")
    assert s.status("a", second) == "RUNNING"
    writes = len(s.log.decisions[-2][1].changes.workers)
    s.do(WorkerPaused(s.workers["w1"].id, False))
    assert writes == 1
    assert not s.log.decisions[-1][1].changes.workers, "no change, nothing written"


def test_R10_a_heartbeat_writes_nothing() -> None:
    s = simple()
    w1 = s.worker("w1")
    assert not s.step(WorkerSeen(w1)).changes
    assert not s.step(WorkerSeen("unknown")).changes


def test_R27_reports_are_signs_of_life() -> None:
    s = simple(execution_timeout=1000)
    s.worker("w1")
    for _ in range(5):
        s.trigger("W")
    s.freeze("w1")
    for _ in range(5):
        s.advance(20)
        s.complete("a", next(t.run.id for t in s.machine.state.tasks.values() if t.status is TaskStatus.RUNNING), by="w1")
    assert "REASSIGNED" not in [kind for run in s.tables.runs.values() for kind in s.events("a", run.id)]


def test_R29_a_worker_that_left_is_forgotten_once_nothing_refers_to_it() -> None:
    s = simple(Settings(worker_forgotten_after_us=60_000_000))
    s.worker("w1")
    s.trigger("W")
    s.complete("a")
    s.unsubscribe("w1")
    key = next(iter(s.tables.workers))
    s.advance(59)
    assert key in s.tables.workers
    s.advance(32)
    assert key not in s.tables.workers
    with pytest.raises(NotFound):
        s.do(StreamOpened(s.workers["w1"].id, 99))


def test_R31_a_restart_forgives_old_silence_but_not_a_recorded_loss() -> None:
    s = simple()
    s.worker("w1")
    lost = s.worker("w2")
    s.kill("w2")
    s.advance(31)
    s.freeze("w1")
    s.restart(down_for=3600)
    views = {view.worker_id: view for view in s.machine.workers()}
    assert views[lost].lost_at is not None
    assert views[s.workers["w1"].id].lost_at is None


def test_WK34_a_worker_that_drains_after_its_farewell_still_reports_what_it_began() -> None:
    """Observed with the TypeScript client 1.33.2: it unsubscribes first, then lets its running tasks end, silently."""
    s = simple()
    s.worker("w1")
    run = s.trigger("W")
    s.unsubscribe("w1", drains=True)
    s.worker("w2")
    later = s.trigger("W")
    s.restart()
    s.advance(20)
    s.complete(run, by="w1")
    assert s.run_status(run) == "COMPLETED"
    assert s.ran_on(run) == "w1"
    assert s.ran_on(later) == "w2"


def test_WK34_a_drain_that_falls_silent_is_taken_back() -> None:
    s = simple()
    s.worker("w1")
    run = s.trigger("W")
    s.unsubscribe("w1", drains=True)
    s.worker("w2")
    s.advance(29)
    assert s.ran_on(run) == "w1"
    s.advance(2)
    assert s.ran_on(run) == "w2"


def test_WK34_an_unconfirmed_start_of_a_draining_worker_goes_elsewhere_after_its_grace() -> None:
    s = simple()
    s.worker("w1", confirms=False)
    run = s.trigger("W")
    s.unsubscribe("w1", drains=True)
    s.worker("w2")
    s.advance(6)
    assert s.ran_on(run) == "w2"


def test_an_unsubscribed_worker_loses_its_attempts_at_once() -> None:
    s = simple()
    s.worker("w1")
    s.trigger("W")
    s.worker("w2", ["a"])
    s.unsubscribe("w1")
    assert s.ran_on("a") == "w2"
    s.unsubscribe("w1")
    with pytest.raises(NotFound, match="register again"):
        s.do(StreamOpened(s.workers["w1"].id, 99))


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_worker_needs_a_usable_name(name: str) -> None:
    with pytest.raises(InvalidArgument, match="worker name"):
        Scenario().do(WorkerRegistered(name, (), (("default", 1),)))


def test_P6_a_lost_workers_open_stream_is_ended_so_that_it_comes_back_when_it_lives_again() -> None:
    """It beats on, and only opening its stream takes it back (R31): with the old stream it would be lost for ever."""
    s = simple()
    w1 = s.worker("w1")
    s.freeze("w1")
    s.advance(31)
    closes = [d for _, decision in s.log.decisions for d in decision.deliveries if isinstance(d, CloseStreams)]
    assert [(one.worker_id, one.session) for one in closes] == [(w1, None)]
    s.thaw("w1")
    run = s.trigger("W")
    assert s.status("a", run) == "QUEUED"
    s.reopen("w1")
    assert s.ran_on("a", run) == "w1"


@pytest.mark.parametrize("how", ["unconfirmed", "undeliverable"])
def test_WK23_lost_receipts_and_undeliverable_starts_share_one_budget_that_ends_the_task(how: str) -> None:
    s = Scenario(Settings(internal_retries_max=1), checks_reload=True)
    s.workflow("W", "a", make_task("b", "a"))
    s.worker("w1", confirms=False)
    run = s.trigger("W")
    s.undeliverable("a")
    s.advance(0.1)
    if how == "undeliverable":
        s.undeliverable("a")
    else:
        s.close_stream("w1")
        s.advance(5)
    assert s.statuses(run) == {"a": "FAILED", "b": "CANCELLED"}
    assert "maximum reassignment count of 1" in s.error("a")


def test_R29_a_worker_that_a_run_is_pinned_to_is_not_forgotten() -> None:
    s = Scenario(Settings(worker_forgotten_after_us=60_000_000), checks_reload=True)
    s.workflow("W", "a", make_task("b", "a", retries=1, backoff=100, execution_timeout=500), sticky=StickyStrategy.HARD)
    s.worker("w1")
    run = s.trigger("W")
    s.complete("a")
    s.fail("b")
    s.kill("w1")
    s.advance(95)
    assert s.run(run).pin_worker_id == s.workers["w1"].id
    assert len(s.tables.workers) == 1, "b still waits out its delay"
    s.advance(60)
    assert s.status("b") == "FAILED"
    s.advance(61)
    assert not s.tables.workers


def test_R24_a_report_for_an_attempt_that_waits_again_is_stale() -> None:
    s = simple(retries=1, backoff=5)
    s.worker("w1")
    s.trigger("W")
    s.fail("a")
    s.complete("a", by="w1")
    assert s.status("a") == "BACKING_OFF"
    assert s.log.stale == {"attempt already ended": 1}
