"""What time brings: scheduled runs, crons, sleeps, delays before retries, timeouts. Most of it falls due while nobody lives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from limpet.contracts import conditions_pb2 as conditions
from limpet.core.ids import SECOND_US
from limpet.core.rows import EventType, TaskStatus
from limpet.store.api import RunRecord
from tests.killed.place import HOUR_S, Place, lasting
from tests.killed.scenes.limits import limited

Scene = AsyncIterator[None]
TIMETABLE = "/tenants/{tenant}/workflows"
HALF = HOUR_S / 2  # over when the second life begins; if counted from there, it would not end in this test
MADE_UP_S = 9.0  # a single tick that is late by less is made up in any case (cron_late_max, counted from the load)


def instant(place: Place, ahead_s: float) -> datetime:
    return datetime.fromtimestamp(place.now() + ahead_s, UTC)


async def schedule(place: Place, workflow: str, ahead_s: float, note: str) -> str:
    """The path of the scheduled run."""
    body = {"triggerAt": instant(place, ahead_s).isoformat(), "input": {"note": note}}
    made = await place.rest("POST", f"{TIMETABLE}/{workflow}/scheduled", body)
    return f"{TIMETABLE}/scheduled/{made['metadata']['id']}"


async def move(place: Place, path: str, ahead_s: float) -> None:
    await place.rest("PATCH", path, {"triggerAt": instant(place, ahead_s).isoformat()})


def note_of(record: RunRecord) -> str:
    return str(json.loads(record.run.input or b"")["note"])


async def B88_F7_4_scheduled_runs_start_once_also_late(place: Place) -> Scene:
    """They have a limit whose key nobody can compute but an edge that lives when they are due (decision 25)."""
    hands = await place.hands("planned")
    hands.finishes_everything()
    await place.workflow("planned", lasting("planned", concurrency=[limited("input.note", 1)]))
    due, moved, deleted, far = [await schedule(place, "planned", ahead, note) for ahead, note in (
        (HALF, "due"), (3 * HOUR_S, "moved"), (HALF, "deleted"), (3 * HOUR_S, "far"),
    )]  # fmt: skip
    await move(place, moved, HALF)
    await place.rest("DELETE", deleted, status=204)
    yield
    for path in (due, moved):
        await place.answers(404, path)
    await place.rest("GET", far)
    await move(place, far, 1)
    yield
    await place.answers(404, far)
    await hands.has_finished(3)
    yield
    assert sorted(map(note_of, place.truth.of("planned"))) == ["due", "far", "moved"]
    assert place.truth.ended("planned") == ["COMPLETED"] * 3


async def B77_I3_each_tick_of_a_cron_starts_one_run_and_an_hour_of_ticks_is_not_made_up(place: Place) -> Scene:
    hands = await place.hands("ticking")
    hands.finishes_everything()
    await place.workflow("ticking", cron_triggers=["* * * * * *"])
    await hands.has_finished(1)
    yield
    await hands.has_finished(2)
    yield
    await hands.has_finished(hands.finished + 1)
    yield
    slots = [slot_of(one) for one in place.truth.of("ticking")]
    assert len(set(slots)) == len(slots)
    assert not [one for one in slots if place.hour[0] < one.timestamp() < place.hour[1]]


async def F6_6_a_single_tick_of_a_cron_that_falls_into_a_change_of_owner_is_made_up(place: Place) -> Scene:
    hands = await place.hands("nightly")
    await place.workflow("nightly")
    yield
    slot = await single_slot(place, "nightly")
    yield
    is_too_late = place.born_at[-1] - slot.timestamp() > MADE_UP_S
    if not is_too_late:
        await hands.done(await hands.next("nightly"))
    await hands.has_all()
    yield
    found = [slot_of(one) for one in place.truth.of("nightly")]
    assert found == [slot] or (found == [] and is_too_late)


async def single_slot(place: Place, workflow: str) -> datetime:
    """A cron that is due once in a year, and that in a second or two."""
    while True:
        slot = instant(place, 2).replace(microsecond=0)
        expression = f"{slot.second} {slot.minute} {slot.hour} {slot.day} {slot.month} *"
        body = {"cronName": f"at-{place.number()}", "cronExpression": expression}
        made = await place.rest("POST", f"{TIMETABLE}/{workflow}/crons", body)
        if datetime.fromisoformat(made["nextAt"]) == slot:
            return slot  # else a busy machine was too late for this year


def slot_of(record: RunRecord) -> datetime:
    return datetime.fromisoformat(json.loads(record.run.metadata or b"")["hatchet__cron_scheduled_at"])


def asleep(seconds: float) -> conditions.TaskConditions:
    base = conditions.BaseMatchCondition(readable_data_key="sleep", action=conditions.QUEUE, or_group_id="one")
    return conditions.TaskConditions(sleep_conditions=[conditions.SleepMatchCondition(base=base, sleep_for=f"{seconds:g}s")])


async def W5_2_a_sleep_that_ended_meanwhile_is_over_and_another_goes_on(place: Place) -> Scene:
    hands = await place.hands("slept", "sleeps-on")
    for name, seconds in (("slept", HALF), ("sleeps-on", 3 * HOUR_S)):
        await place.workflow(name, lasting(name, conditions=asleep(seconds)))
        await place.calls.trigger(name)
    await hands.has_all()
    yield
    await hands.done(await hands.next("slept"))
    await hands.has_all()
    yield
    await hands.has_all()
    yield
    assert place.truth.ended("slept") == ["COMPLETED"]
    assert [task.status for task in place.truth.tasks("sleeps-on")] == [TaskStatus.PENDING]


async def RT3_a_delay_before_a_retry_ends_in_time_whoever_lives(place: Place) -> Scene:
    hands = await place.hands("retried")
    await place.workflow("retried", lasting("retried", retries=2, backoff_factor=1000, backoff_max_seconds=int(HALF)))
    runs = [await place.calls.trigger("retried") for _ in range(2)]
    for _ in runs:
        await hands.fails(await hands.next("retried"))
    await hands.has_all()
    yield
    again = [await hands.next("retried") for _ in runs]
    assert {(one.workflow_run_id, one.retry_count) for one in again} == {(run, 1) for run in runs}
    await hands.done(again[0])
    await hands.fails(again[1])
    yield
    await hands.has_all()
    yield
    tasks = {task.id: task for task in place.truth.tasks("retried")}
    done, waiting = (tasks[one.task_run_external_id] for one in again)
    assert (done.status, done.app_retries) == (TaskStatus.COMPLETED, 1)
    assert (waiting.status, waiting.app_retries) == (TaskStatus.BACKING_OFF, 2)
    failed_at = place.truth.happened(waiting, EventType.FAILED)[-1]
    assert waiting.not_before == failed_at + HALF * SECOND_US


async def TO6_T10_timeouts_that_passed_meanwhile_end_their_tasks_and_no_others(place: Place) -> Scene:
    hands, names = await place.hands("slow", "steady"), ("unplaced", "unplaced-yet")
    half, day = f"{HALF:g}s", "24h"
    await place.workflow("slow", lasting("slow", timeout=half))
    await place.workflow("steady")
    for name, timeout in zip(names, (half, day), strict=True):
        await place.workflow(name, lasting(name, schedule_timeout=timeout))
    runs: dict[str, Any] = {name: await place.calls.trigger(name) for name in ("slow", "steady", *names)}
    starts = {start.action_id: start for start in [await hands.given.get() for _ in range(2)]}
    yield
    await place.ends_as(runs["slow"], "FAILED")
    await place.ends_as(runs["unplaced"], "FAILED")
    assert (await hands.cancelled.get()).task_run_external_id == starts["slow"].task_run_external_id
    assert await place.status(runs["unplaced-yet"]) == "QUEUED"
    yield
    late = await place.hands("unplaced-yet")
    await late.done(await late.next("unplaced-yet"))
    await hands.done(starts["steady"])
    yield
    found = {name: place.truth.tasks(name)[0] for name in runs}
    assert len(place.truth.happened(found["slow"], EventType.TIMED_OUT)) == 1
    assert len(place.truth.happened(found["unplaced"], EventType.SCHEDULING_TIMED_OUT)) == 1
    assert [place.truth.ended(name) for name in ("steady", "unplaced-yet")] == [["COMPLETED"]] * 2


SCENES = (
    B88_F7_4_scheduled_runs_start_once_also_late,
    B77_I3_each_tick_of_a_cron_starts_one_run_and_an_hour_of_ticks_is_not_made_up,
    F6_6_a_single_tick_of_a_cron_that_falls_into_a_change_of_owner_is_made_up,
    W5_2_a_sleep_that_ended_meanwhile_is_over_and_another_goes_on,
    RT3_a_delay_before_a_retry_ends_in_time_whoever_lives,
    TO6_T10_timeouts_that_passed_meanwhile_end_their_tasks_and_no_others,
)
