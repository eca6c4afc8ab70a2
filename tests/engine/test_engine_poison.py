"""One bad input hurts only itself (R8, L7)."""

from __future__ import annotations

import asyncio

import pytest
from engine_faults import Fault, seq_of
from engine_house import OTHER_TENANT, House, verb

from limpet.core.decision import CloseStreams
from limpet.core.errors import InternalError
from limpet.core.inputs import StreamClosed, StreamOpened, WorkerSeen
from limpet.engine.recovery import DEFAULT_TENANT_ID


async def gather_batch(house: House, *items, tenant=DEFAULT_TENANT_ID) -> list[object]:  # type: ignore[no-untyped-def]
    """Hand in items as one batch, behind a commit that is held."""
    gate = house.store.hold("commit")
    blocker = house.submit(verb("fact", "blocker"))
    await house.store.reached["commit"].wait()
    replies = [house.submit(item, tenant) for item in items]
    await asyncio.sleep(0)
    gate.set()
    await blocker
    return await asyncio.gather(*replies, return_exceptions=True)


@pytest.mark.parametrize("bad", ["boom", "poison"])
async def test_L7_poison_is_refused_and_its_neighbours_are_served(house: House, bad: str) -> None:
    one, two, three = await gather_batch(house, verb("fact", "one"), verb(bad, "x"), verb("fact", "three"))
    assert isinstance(two, InternalError)
    assert "reference 808080808080" in str(two)
    assert isinstance(one, tuple)
    assert isinstance(three, tuple)
    assert await house.stored() == ["blocker", "one", "three"]
    assert sorted(house.core().facts.values()) == ["blocker", "one", "three"]
    assert house.metric("limpet_quarantined_inputs_total") == 1


async def test_T_POISON_the_input_is_kept_for_the_operator(house: House) -> None:
    with pytest.raises(InternalError):
        await house.say(verb("boom", "nul \0 and surrogate"))
    [(tenant_no, reason, content)] = house.store.quarantined
    assert tenant_no == house.engine.tenant_no(DEFAULT_TENANT_ID)
    assert "RunsTriggered AssertionError: the step found a bug" in reason
    assert "surrogate" in content
    assert "\0" not in content


async def test_R8_each_retained_input_has_a_commit_of_its_own(house: House) -> None:
    await gather_batch(house, *[verb("fact", f"f{n}") for n in range(4)], verb("poison"))
    sizes = [len(changes.workers) for batch in house.store.commits for _, changes in batch.changes]
    assert sizes == [1, 5, 1, 1, 1, 1, 1]
    seqs = [seq_of(batch) for batch in house.store.commits]
    assert seqs == [1, 2, 2, 3, 4, 5, 6], "a number that was not used is used again"


async def test_L7_other_tenants_do_not_notice(house: House) -> None:
    await house.engine.create_tenant(OTHER_TENANT, "other")
    other = house.core(OTHER_TENANT)
    mine, theirs = await asyncio.gather(
        house.submit(verb("boom")), house.submit(verb("fact", "fine"), OTHER_TENANT), return_exceptions=True
    )
    assert isinstance(mine, InternalError)
    assert isinstance(theirs, tuple)
    assert house.core(OTHER_TENANT) is other


async def test_a_poisoned_row_of_one_tenant_costs_the_other_a_reload_and_nothing_else(house: House) -> None:
    await house.engine.create_tenant(OTHER_TENANT, "other")
    mine, theirs = await asyncio.gather(
        house.submit(verb("poison")), house.submit(verb("fact", "fine"), OTHER_TENANT), return_exceptions=True
    )
    assert isinstance(mine, InternalError)
    assert isinstance(theirs, tuple)
    assert await house.stored(OTHER_TENANT) == ["fine"]
    assert house.metric("limpet_quarantined_inputs_total") == 1


async def test_two_poisons_in_a_batch_are_both_refused(house: House) -> None:
    replies = await gather_batch(house, verb("boom"), verb("fact", "fine"), verb("poison"))
    assert [type(reply) for reply in replies] == [InternalError, tuple, InternalError]
    assert await house.stored() == ["blocker", "fine"]


async def test_a_look_up_at_fault_is_poison_too(house: House) -> None:
    house.store.will("look_up", Fault.DATA, Fault.DATA)
    bad, good = await gather_batch(house, verb("look", "\ud800".encode("utf-8", "surrogatepass").hex()), verb("fact", "fine"))
    assert isinstance(bad, InternalError)
    assert isinstance(good, tuple)
    assert house.store.happened["look_up data"] == 2


async def test_a_look_up_in_passing_trouble_is_repeated(house: House) -> None:
    house.store.will("look_up", Fault.BUSY)
    reply = house.submit(verb("look", "r"))
    await house.pass_pauses()
    await reply
    assert house.store.happened["look_up busy"] == 1
    assert house.metric("limpet_quarantined_inputs_total") == 0


async def test_the_caller_is_answered_although_the_quarantine_refuses_too(house: House) -> None:
    house.store.will("quarantine", Fault.DATA)
    with pytest.raises(InternalError):
        await house.say(verb("boom"))
    assert house.store.happened["quarantine data"] == 1
    assert house.metric("limpet_internal_errors_total", place="quarantine") == 1


async def test_R9_a_reload_tells_the_core_about_open_streams(house: House) -> None:
    worker_id = await house.say(verb("fact", "worker"))
    for session in (4, 5):
        await house.say(StreamOpened(worker_id, session))
    await house.say(StreamClosed(worker_id, 4))
    before = house.core()
    await asyncio.gather(house.submit(verb("boom")), return_exceptions=True)
    assert house.core() is not before
    assert house.core().sessions == {worker_id: [5]}


async def test_R31_a_reload_hands_back_signs_of_life(house: House) -> None:
    worker_id = await house.say(verb("fact", "worker"))
    seen_at = house.clock.now()
    house.clock.advance(5_000_000)
    await asyncio.gather(house.submit(verb("boom")), return_exceptions=True)
    assert house.core().handed_seen[worker_id] == seen_at


async def test_R31_a_reload_ends_the_streams_of_workers_that_were_silent(house: House) -> None:
    silent, lively = await house.say(verb("fact", "silent")), await house.say(verb("fact", "lively"))
    for worker_id in (silent, lively):
        await house.say(StreamOpened(worker_id, 1))
    house.clock.advance(house.settings.core.worker_assignable_us + 1)
    await house.say(WorkerSeen(lively))
    await asyncio.gather(house.submit(verb("boom")), return_exceptions=True)
    ended = [(one.worker_id, one.session) for one in house.streams.delivered if isinstance(one, CloseStreams)]
    assert ended == [(silent, None)]
    assert house.core().sessions == {lively: [1]}


async def test_a_tenant_that_cannot_be_loaded_is_halted_and_comes_back_by_itself(house: House) -> None:
    await house.engine.create_tenant(OTHER_TENANT, "other")
    house.store.will("load", Fault.DATA, Fault.DATA)
    with pytest.raises(InternalError, match="halted"):
        await house.say(verb("boom"))
    with pytest.raises(InternalError):
        await house.say(verb("fact", "too early"))
    assert await house.say(verb("fact", "fine"), OTHER_TENANT)
    assert house.engine.health().tenants_halted == 1
    assert house.engine.is_ready, "the other tenant is served"
    delays = []
    for _ in range(2):
        await house.clock.until_awaited(house.clock.now() + house.settings.halt_max_us - 1)
        delays.append(house.clock.next_at() - house.clock.now())
        house.clock.advance(delays[-1])
        await house.say(verb("fact", "waits for the turn"), OTHER_TENANT)
    assert delays == [1_000_000, 2_000_000]
    assert house.engine.health().tenants_halted == 0
    assert await house.say(verb("fact", "back"))
    assert house.store.happened["load data"] == 2


async def test_a_single_halted_tenant_makes_the_engine_unready(house: House) -> None:
    house.store.will("load", Fault.DATA)
    await asyncio.gather(house.submit(verb("boom")), return_exceptions=True)
    assert house.engine.is_ready is False
    with pytest.raises(InternalError, match="rebuilt"):
        house.engine.workers(DEFAULT_TENANT_ID)


async def test_a_reload_waits_out_a_passing_trouble(house: House) -> None:
    house.store.will("load", Fault.BUSY, Fault.BUSY)
    bad, good = house.submit(verb("boom")), house.submit(verb("fact", "good"))
    await house.pass_pauses(2)
    replies = await asyncio.gather(bad, good, return_exceptions=True)
    assert [type(reply) for reply in replies] == [InternalError, tuple]


async def test_D4_what_a_reload_reads_is_what_was_told(house: House) -> None:
    told = [await house.say(verb("fact", f"f{n}")) for n in range(5)]
    await asyncio.gather(house.submit(verb("poison")), return_exceptions=True)
    assert sorted(house.core().facts) == sorted(told)
