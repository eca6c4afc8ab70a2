"""Crons of the core: who makes them, when they start runs, what a restart makes of them (flow control, section 6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from limpet.core.cron_time import rfc3339
from limpet.core.errors import InvalidArgument, LimitReached, NotAllowed, NotFound
from limpet.core.ids import WorkflowRunId
from limpet.core.inputs import TimePassed, WorkflowDeleted, WorkflowPut
from limpet.core.settings import Settings
from limpet.core.timetable_inputs import CronCreated, CronDeleted, CronSwitched, CronTriggered
from limpet.core.timetable_rows import CronMethod, CronRow
from limpet.testing.builders import make_workflow
from limpet.testing.scenario import START, Scenario

EACH_SECOND = "* * * * * *"
EACH_TEN = "*/10 * * * * *"


def world(*crons: str, cron_input: bytes = b"{}", settings: Settings | None = None) -> Scenario:
    """A workflow W with these crons, a second one without, and a worker with room."""
    s = Scenario(settings, checks_reload=True)
    s.workflow("W", "a", crons=crons, cron_input=cron_input)
    s.workflow("Other", "b")
    s.worker("w1", slots=1_000)
    return s


def crons_of(s: Scenario) -> list[CronRow]:
    return list(s.tables.crons.values())


def create(s: Scenario, name: str = "n", expression: str = EACH_SECOND, **values: Any) -> CronRow:
    return s.ask(CronCreated("W", name, expression, **values), CronRow)


def slots(s: Scenario) -> list[str]:
    """The slots that started runs, in the order of the runs."""
    return [json.loads(run.metadata or b"")["hatchet__cron_scheduled_at"] for run in s.tables.runs.values()]


def seconds(*offsets: int) -> list[str]:
    return [rfc3339(type(START)(START + offset * 1_000_000)) for offset in offsets]


def redefine(s: Scenario, *crons: str, cron_input: bytes = b"{}", priority: int | None = None) -> None:
    s.workflow("W", "a", crons=crons, cron_input=cron_input, priority=priority)


def test_B70_a_declared_cron_runs_each_second_with_its_input() -> None:
    s = world(EACH_SECOND, cron_input=b'{"x":1}')
    s.advance(3)
    assert slots(s) == seconds(1, 2, 3)
    for run in s.tables.runs.values():
        assert run.input == b'{"x":1}'
        assert json.loads(run.metadata or b"")["hatchet__cron_expression"] == EACH_SECOND


def test_F6_13_a_run_carries_the_crons_metadata_and_where_it_came_from() -> None:
    s = world()
    create(s, "mine", metadata=b'{"team":"a","hatchet__cron_name":"forged"}')
    s.advance(1)
    (run,) = s.tables.runs.values()
    assert json.loads(run.metadata or b"") == {
        "team": "a",
        "hatchet__cron_name": "mine",
        "hatchet__cron_expression": EACH_SECOND,
        "hatchet__cron_scheduled_at": seconds(1)[0],
    }


def test_several_expressions_of_one_workflow_all_run() -> None:
    s = world(EACH_TEN, "5 * * * * *", EACH_TEN)
    assert len(crons_of(s)) == 2
    s.advance(60)
    assert len(s.tables.runs) == 7


def test_without_crons_nothing_is_asked_and_nothing_wakes() -> None:
    s = Scenario()
    s.workflow("W", "a")
    assert s.machine.wake_at is None
    assert not s.machine.needs([TimePassed(), WorkflowPut(make_workflow("W", "a"))])


@pytest.mark.parametrize("expression", ["x", "0 0 30 2 *"])
def test_a_declared_expression_that_never_runs_is_refused_with_the_workflow(expression: str) -> None:
    s = Scenario()
    with pytest.raises(InvalidArgument, match="workflow W: cron expression"):
        s.workflow("W", "a", crons=[expression])
    assert not s.tables.workflows


def test_declared_crons_have_a_bound() -> None:
    s = Scenario(Settings(workflow_crons_max=2))
    with pytest.raises(LimitReached, match="workflow_crons_max"):
        s.workflow("W", "a", crons=["1 * * * *", "2 * * * *", "3 * * * *"])


def test_W3_5_a_removed_declared_cron_ends_and_a_kept_one_keeps_its_id() -> None:
    s = world(EACH_SECOND, EACH_TEN)
    kept = next(row for row in crons_of(s) if row.expression == EACH_TEN)
    redefine(s, EACH_TEN, cron_input=b'{"new":1}')
    (row,) = crons_of(s)
    assert row == kept._replace(input=b'{"new":1}', input_bytes=9)
    s.advance(10)
    assert slots(s) == seconds(10)


def test_B76_API_crons_go_on_when_a_code_cron_is_removed() -> None:
    s = world(EACH_SECOND)
    mine = create(s, expression=EACH_TEN)
    redefine(s)
    assert crons_of(s) == [mine]
    s.advance(10)
    assert slots(s) == seconds(10)


def test_A13_an_API_cron_moves_to_the_new_version_with_its_id() -> None:
    s = world()
    mine = create(s, expression=EACH_TEN)
    redefine(s, priority=2)
    s.advance(10)
    (run,) = s.tables.runs.values()
    assert crons_of(s)[0].id == mine.id
    assert s.tables.versions[run.version_key].number == 2


@pytest.mark.parametrize("case", ["B75", "A14"])
def test_B75_A14_a_disabled_code_cron_stays_disabled_over_a_new_version(case: str) -> None:
    s = world(EACH_SECOND)
    s.do(CronSwitched(crons_of(s)[0].id, False))
    redefine(s, EACH_SECOND, priority=3)
    s.advance(3)
    assert not crons_of(s)[0].enabled
    assert not s.tables.runs


def test_the_same_definition_again_leaves_its_crons_alone() -> None:
    s = world(EACH_SECOND)
    before = crons_of(s)
    redefine(s, EACH_SECOND)
    assert crons_of(s) == before


def test_B74_a_cron_that_is_off_starts_nothing_and_makes_nothing_up() -> None:
    s = world()
    cron = create(s)
    s.advance(2)
    s.do(CronSwitched(cron.id, False))
    s.do(CronSwitched(cron.id, False))
    s.advance(5)
    s.do(CronSwitched(cron.id, True))
    s.advance(2)
    assert slots(s) == seconds(1, 2, 8, 9)


def test_B72_create_delete_and_trigger_now_with_the_crons_input() -> None:
    s = world()
    cron = create(s, expression="0 3 * * *", input=b'{"x":1}', metadata=b'{"m":"n"}', priority=3)
    run = s.run(s.ask(CronTriggered(cron.id), str))
    assert (run.input, run.priority) == (b'{"x":1}', 3)
    assert json.loads(run.metadata or b"") == {
        "m": "n", "hatchet__cron_expression": "0 3 * * *", "hatchet__cron_name": "n"
    }  # fmt: skip
    s.do(CronDeleted(cron.id))
    assert not crons_of(s)
    for item in (CronDeleted(cron.id), CronSwitched(cron.id, True), CronTriggered(cron.id), CronDeleted("no id")):
        with pytest.raises(NotFound, match="cron"):
            s.do(item)
    assert s.run_status(run.id) == "RUNNING"


def test_a_declared_cron_is_deleted_where_it_is_declared() -> None:
    s = world(EACH_TEN)
    with pytest.raises(NotAllowed, match="take it out of the definition"):
        s.do(CronDeleted(crons_of(s)[0].id))
    assert s.ask(CronTriggered(crons_of(s)[0].id), str)


def test_B73_the_same_name_and_expression_again_is_refused() -> None:
    s = world()
    create(s)
    with pytest.raises(InvalidArgument, match=r"workflow W has a cron n with the expression .* already"):
        create(s)
    create(s, expression=EACH_TEN)
    create(s, "other")
    replies = s.step(CronCreated("W", "twice", EACH_TEN), CronCreated("W", "twice", EACH_TEN)).replies
    assert [type(reply) for reply in replies] == [CronRow, InvalidArgument]


@pytest.mark.parametrize(
    "item",
    [
        CronCreated("Missing", "n", EACH_TEN), CronCreated("W", "", EACH_TEN), CronCreated("W", "n", "* * *"),
        CronCreated("W", "n", EACH_TEN, priority=4), CronCreated("W", "n", EACH_TEN, metadata=b"x" * 70_000),
    ],
)  # fmt: skip
def test_F6_11_a_cron_that_cannot_be_is_refused(item: CronCreated) -> None:
    s = world()
    with pytest.raises(InvalidArgument):
        s.do(item)
    assert not crons_of(s)


def test_AC30_PR7_without_a_priority_the_newest_default_counts_when_it_is_due() -> None:
    s = world()
    create(s)
    s.advance(1)
    redefine(s, priority=3)
    s.advance(1)
    assert [run.priority for run in s.tables.runs.values()] == [1, 3]


def test_AC26_crons_of_one_instant_start_by_priority() -> None:
    s = Scenario(checks_reload=True)
    s.workflow("W", "a")
    s.worker("w1", slots=1)
    for number, priority in enumerate((1, 3, 2, 3, 1, 2)):
        create(s, f"c{number}", EACH_TEN, priority=priority)
    s.advance(10)
    for cron in crons_of(s):
        s.do(CronDeleted(cron.id))
    assert [s.tables.runs[s.task(each).run_key].priority for each in s.run_in_order()] == [3, 3, 2, 2, 1, 1]


def test_B77_missed_ticks_are_not_made_up() -> None:
    s = world(EACH_SECOND)
    s.advance(2)
    s.restart(down_for=5.5)
    assert slots(s) == seconds(1, 2)
    s.advance(2)
    assert slots(s) == seconds(1, 2, 8, 9)


def test_a_single_slot_within_a_short_restart_is_not_lost() -> None:
    s = world("0 * * * * *")
    at = s.machine.wake_at
    assert at is not None
    s.advance((at - s.now) / 1e6 - 1)
    s.restart(down_for=3)
    assert slots(s) == [rfc3339(at)]


def test_a_slot_that_passed_long_ago_is_not_made_up() -> None:
    s = world("0 * * * * *")
    s.restart(down_for=59)
    assert not s.tables.runs


def test_an_engine_that_was_held_up_runs_the_newest_slot_once() -> None:
    s = world(EACH_SECOND)
    s.now = type(s.now)(s.now + 4_500_000)
    s.step(TimePassed())
    assert slots(s) == seconds(4)


def test_TCRONRESTART_I3_a_hundred_restarts_at_the_exact_slot_run_each_slot_once() -> None:
    s = world(EACH_TEN)
    for number in range(100):
        at = s.machine.wake_at
        while at is None or at <= s.now or at % 10_000_000:  # another timer than the cron's
            s.advance_until_due()
            at = s.machine.wake_at
        s.now = type(s.now)(at - (number % 3 == 1))  # just before, or on, the slot
        s.restart(down_for=(number % 3 == 2) * 0.5)
        s.advance(1)
    assert slots(s) == sorted(set(slots(s)))
    assert len(slots(s)) == 100


def test_F6_7_a_deleted_workflow_starts_nothing_and_its_crons_go() -> None:
    s = world(EACH_TEN)
    create(s)
    s.do(WorkflowDeleted(next(row.id for row in s.tables.workflows.values() if row.name == "W")))
    s.advance(20)
    assert not s.tables.runs
    assert not crons_of(s)


def test_F6_16_a_stored_expression_that_cannot_be_read_is_put_aside_with_a_notice() -> None:
    s = world()
    cron, good = create(s), create(s, "good")
    s.tables.crons[cron.key] = cron._replace(expression="of another release")
    s.advance(2)
    notices = [notice for _, decision in s.log.decisions for notice in decision.notices]
    assert len(notices) == 1
    assert f"Cron {cron.id} of workflow W is put aside" in notices[0]
    assert s.tables.crons[cron.key].next_at is None
    assert len(s.tables.runs) == 2
    assert s.tables.crons[good.key].next_at is not None


def test_a_trigger_now_answers_the_id_of_its_run() -> None:
    s = world(EACH_TEN)
    run_id = WorkflowRunId(s.ask(CronTriggered(crons_of(s)[0].id), str))
    assert s.run(run_id).id == run_id
    assert crons_of(s)[0].method == CronMethod.DECLARED
