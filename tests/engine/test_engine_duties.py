"""Background duties, and the numbers an operator sees."""

from __future__ import annotations

import asyncio

import pytest
from engine_faults import Fault
from engine_house import OTHER_TENANT, House, MakeHouse, verb
from prometheus_client import generate_latest

from limpet.core.inputs import StreamOpened
from limpet.engine.duties.duty import PeriodicDuty
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.store.api import LogLine


def line(message: str) -> LogLine:
    return LogLine(1, "t", 0, 0, "INFO", message, "{}")


async def next_round(house: House, duty: PeriodicDuty) -> None:
    """Let a periodic duty do its next round."""
    done = asyncio.ensure_future(duty.done_round())
    due = house.clock.now() + duty._every_us
    await house.clock.until_awaited(due)
    house.clock.advance(duty._every_us)
    await done


async def test_R10_log_lines_go_to_their_own_writer(house: House) -> None:
    done = asyncio.ensure_future(house.engine.write_logs.done_round())
    await asyncio.sleep(0)
    assert all(house.engine.log(line(str(n))) for n in range(3))
    await done
    assert [one.message for one in house.store.logs] == ["0", "1", "2"]
    assert house.store.commits == []


async def test_T_LOG_FLOOD_what_does_not_fit_is_dropped_and_counted(make_house: MakeHouse) -> None:
    house = await make_house(log_queue_max=3)
    gate = house.store.hold("append_logs")
    taken = [house.engine.log(line(str(n))) for n in range(5)]
    assert taken == [True, True, True, False, False]
    assert house.metric("limpet_dropped_logs_total") == 2
    await house.say(verb("fact", "the loop goes on"))
    gate.set()


async def test_R43_the_log_queue_is_bounded_in_bytes(make_house: MakeHouse) -> None:
    house = await make_house(log_queue_bytes_max=2_000)
    assert [house.engine.log(line("x" * 1_000)) for _ in range(2)] == [True, False]


async def test_bytes_of_written_lines_are_free_again(make_house: MakeHouse) -> None:
    house = await make_house(log_queue_bytes_max=2_000)
    for _ in range(3):
        done = asyncio.ensure_future(house.engine.write_logs.done_round())
        await asyncio.sleep(0)
        assert house.engine.log(line("x" * 1_000))
        await done


async def test_logs_wait_out_a_passing_trouble_and_the_engine_stays_ready(house: House) -> None:
    house.store.will("append_logs", Fault.BUSY)
    done = asyncio.ensure_future(house.engine.write_logs.done_round())
    await asyncio.sleep(0)
    house.engine.log(line("patient"))
    await house.clock.until_awaited(house.clock.now() + 50_000)
    assert house.engine.is_ready
    await house.pass_pauses()
    await done
    assert (house.store.happened["append_logs busy"], len(house.store.logs)) == (1, 1)


async def test_a_poisoned_log_line_costs_only_itself(house: House) -> None:
    done = asyncio.ensure_future(house.engine.write_logs.done_round())
    await asyncio.sleep(0)
    for message in ("a", "poison", "b"):
        house.engine.log(line(message))
    await done
    assert [one.message for one in house.store.logs] == ["a", "b"]
    assert house.metric("limpet_dropped_logs_total") == 1


async def test_R50_history_is_pruned_in_batches_until_nothing_is_left(make_house: MakeHouse) -> None:
    house = await make_house(prune_batch_max=10, retention_us=1_000, prune_every_us=30_000_000)
    house.store.prunable = 25
    await next_round(house, house.engine.prune_history)
    assert house.store.pruned == [(house.clock.now() - 1_000, 10)] * 3
    assert house.metric("limpet_pruned_runs_total") == 25


async def test_W16_9_expired_idempotency_keys_are_purged_in_batches_until_nothing_is_left(make_house: MakeHouse) -> None:
    house = await make_house(prune_batch_max=10, purge_claims_every_us=30_000_000)
    house.store.purgeable = 25
    await next_round(house, house.engine.purge_claims)
    assert house.store.purged == [(house.clock.now(), 10)] * 3
    assert house.metric("limpet_purged_claims_total") == 25


async def test_a_round_that_fails_is_counted_and_the_next_one_follows(make_house: MakeHouse) -> None:
    house = await make_house(prune_every_us=30_000_000)
    house.store.will("prune", Fault.NAMELESS)
    house.store.prunable = 1
    await next_round(house, house.engine.prune_history)
    assert house.metric("limpet_internal_errors_total", place="prune_history") == 1
    await next_round(house, house.engine.prune_history)
    assert house.metric("limpet_pruned_runs_total") == 1


async def test_the_self_check_counts_violations_of_every_tenant(make_house: MakeHouse) -> None:
    house = await make_house(self_check_every_us=20_000_000)
    await house.engine.create_tenant(OTHER_TENANT, "other")
    house.core().violations = ["T4: one"]
    house.core(OTHER_TENANT).violations = ["W1: two", "W1: three"]
    await next_round(house, house.engine.self_check)
    assert house.metric("limpet_invariant_failures_total") == 3


async def test_workers_are_counted_by_state(house: House) -> None:
    active, _ = await house.say(verb("fact", "one")), await house.say(verb("fact", "paused"))
    await house.say(StreamOpened(active, 1))
    await house.say(verb("fact", "two"))
    counts = {state: house.metric("limpet_workers", state=state) for state in ("active", "disconnected", "paused", "gone")}
    assert counts == {"active": 1, "disconnected": 1, "paused": 1, "gone": 0}


async def test_the_numbers_of_the_loop_are_there(house: House) -> None:
    house.store.will("commit", Fault.BUSY, Fault.ANSWER_LOST)
    reply = house.submit(verb("start", "{}", worker="w1"))
    await house.pass_pauses()
    await reply
    assert house.metric("limpet_store_retries_total", call="commit", cause="transient") == 1
    assert house.metric("limpet_commit_seconds_count") == 1
    assert house.metric("limpet_commit_seq") == 1
    assert house.metric("limpet_deliveries_total", kind="StartTask") == 1
    assert house.metric("limpet_state_load_seconds_count") == 1
    assert house.metric("limpet_ready") == 1
    text = generate_latest(house.engine.metrics.registry).decode()
    for name in (
        "inbox_items",
        "inbox_bytes",
        "seconds_without_commit",
        "delivery_queue",
        "payload_cache_bytes",
        "tenants_halted",
    ):
        assert f"\nlimpet_{name} " in text


async def test_two_engines_have_two_registries(make_house: MakeHouse) -> None:
    one, two = await make_house(), await make_house()
    await one.say(verb("fact", "x"))
    assert (one.metric("limpet_commit_seq"), two.metric("limpet_commit_seq")) == (1, 0)


async def test_a_turn_that_takes_too_long_makes_the_engine_unready(make_house: MakeHouse) -> None:
    house = await make_house(turn_stuck_after_us=1_000_000)
    gate = house.store.hold("commit")
    reply = house.submit(verb("fact", "slow"))
    await house.store.reached["commit"].wait()
    house.clock.advance(1_000_001)
    health = house.engine.health()
    assert (health.is_ready, health.is_live) == (False, False)
    assert "A turn of the loop has taken 1 s so far." in health.reasons
    gate.set()
    await reply
    assert house.engine.is_ready


async def test_the_door_reads_memory(house: House) -> None:
    worker_id = await house.say(verb("fact", "one"))
    view = house.engine.worker(DEFAULT_TENANT_ID, worker_id)
    assert view is not None
    assert view.name == "one"
    assert house.engine.worker(DEFAULT_TENANT_ID, "unknown") is None
    assert [one.worker_id for one in house.engine.workers(DEFAULT_TENANT_ID)] == [worker_id]
    assert house.engine.started_at(DEFAULT_TENANT_ID, [worker_id, "unknown"]) == {worker_id: house.core().loaded_at}


@pytest.mark.parametrize("name", ["write_logs", "prune_history", "purge_claims", "self_check"])
async def test_duties_are_named_verb_and_object(house: House, name: str) -> None:
    assert getattr(house.engine, name).name == name
