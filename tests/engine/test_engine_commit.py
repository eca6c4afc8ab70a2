"""Every outcome of a commit (R8)."""

from __future__ import annotations

import asyncio

import pytest
from engine_faults import Fault, seq_of
from engine_house import House, MakeHouse, verb

from limpet.core.errors import EngineStopping
from limpet.store.api import ONLY_GROUP, FatalStoreError, Fence, FenceMismatch


async def test_R8_a_passing_trouble_keeps_the_batch_and_its_number(house: House) -> None:
    house.store.will("commit", Fault.BUSY, Fault.BUSY, Fault.BUSY)
    reply = house.submit(verb("start", "{}", worker="w1"))
    pauses = await house.pass_pauses(3)
    await reply
    assert house.store.happened["commit busy"] == 3
    assert all(batch is house.store.commits[0] for batch in house.store.commits)
    assert [seq_of(batch) for batch in house.store.commits] == [1] * 4
    assert pauses[0] < pauses[1] < pauses[2]
    assert 25_000 <= pauses[0] <= 50_000
    assert len(house.core().log[-1]) == 1, "the step was not repeated"
    assert len(house.streams.delivered) == 1


async def test_R44_pauses_grow_up_to_their_bound(make_house: MakeHouse) -> None:
    house = await make_house(backoff_max_us=400_000)
    house.store.will("commit", *[Fault.BUSY] * 7)
    reply = house.submit(verb("fact", "x"))
    pauses = await house.pass_pauses(7)
    await reply
    assert pauses == sorted(pauses)
    assert pauses[-1] == pauses[-2] <= 400_000


async def test_readiness_is_off_while_the_store_refuses(house: House) -> None:
    assert house.engine.is_ready
    house.store.will("commit", Fault.BUSY)
    reply = house.submit(verb("fact", "x"))
    await house.clock.until_awaited(house.clock.now() + 50_000)
    health = house.engine.health()
    assert (health.is_ready, health.is_live) == (False, True)
    assert "The store refuses to commit: the disk is full" in health.reasons
    await house.pass_pauses()
    await reply
    assert house.engine.is_ready


async def test_D6_a_commit_whose_answer_got_lost_counts_once(house: House) -> None:
    house.store.will("commit", Fault.ANSWER_LOST)
    await house.say(verb("fact", "once"))
    assert house.store.happened["commit answer lost"] == 1
    assert len(house.store.commits) == 1
    assert await house.stored() == ["once"]
    await house.say(verb("fact", "twice"))
    assert seq_of(house.store.commits[-1]) == 2


async def test_D6_a_commit_that_never_arrived_is_sent_again_as_it_was(house: House) -> None:
    house.store.will("commit", Fault.NEVER_ARRIVED)
    reply = house.submit(verb("fact", "once"))
    await house.pass_pauses()
    await reply
    assert house.store.happened["commit never arrived"] == 1
    assert house.store.commits[0] is house.store.commits[1]
    assert await house.stored() == ["once"]


async def test_D6_a_commit_that_arrives_behind_our_look_at_the_fence_counts_once(house: House) -> None:
    house.store.will("commit", Fault.ARRIVED_LATE)
    reply = house.submit(verb("fact", "once"))
    await house.pass_pauses()
    await reply
    assert house.store.happened["commit arrived late"] == 1
    assert await house.stored() == ["once"]
    assert house.engine.health().commit_seq == 1


async def test_D6_the_fence_itself_may_be_unreadable_for_a_while(house: House) -> None:
    house.store.will("commit", Fault.ANSWER_LOST)
    house.store.will("fences", Fault.BUSY, Fault.BUSY)
    reply = house.submit(verb("fact", "once"))
    await house.pass_pauses(2)
    await reply
    assert (len(house.store.commits), await house.stored()) == (1, ["once"])


async def test_R8_a_lost_answer_and_another_owner_mean_step_down(house: House) -> None:
    house.store.will("commit", Fault.NEVER_ARRIVED)
    await house.store.store.claim()
    reply = house.submit(verb("fact", "nobody's"))
    with pytest.raises(EngineStopping):
        await reply
    with pytest.raises(FenceMismatch):
        await house.engine.run()


async def test_R8_fence_mismatch_drops_everything_and_ends_the_engine(house: House) -> None:
    gate = house.store.hold("commit")
    house.store.will("commit", Fault.TAKEN)
    in_hand = house.submit(verb("start", "{}", worker="w1"))
    await house.store.reached["commit"].wait()
    waiting = house.submit(verb("fact", "behind"))
    await asyncio.sleep(0)
    gate.set()
    for reply in (in_hand, waiting):
        with pytest.raises(EngineStopping, match="another owner"):
            await reply
    with pytest.raises(FenceMismatch):
        await house.engine.run()
    assert house.streams.delivered == []
    assert house.streams.ended[0] == "the engine lost its store to another owner"
    with pytest.raises(EngineStopping):
        await house.say(verb("fact", "later"))
    assert not house.engine.is_ready
    assert house.metric("limpet_step_downs_total") == 1


async def test_T_REWIND_the_store_is_claimed_again_when_so_configured(make_house: MakeHouse) -> None:
    house = await make_house(reclaim_after_fence_mismatch=True)
    await house.say(verb("fact", "kept"))
    epoch = house.engine.health().epoch
    house.store.will("commit", Fault.TAKEN)
    with pytest.raises(EngineStopping):
        await house.say(verb("fact", "lost"))
    with pytest.raises(EngineStopping):
        await house.say(verb("fact", "nobody serves now"))
    await house.pass_pauses()
    await house.until(lambda: house.engine.is_ready)
    await house.say(verb("fact", "after"))
    assert await house.stored() == ["after", "kept"]
    assert house.engine.health().epoch == (epoch or 0) + 1
    assert sorted(house.core().facts.values()) == ["after", "kept"]
    assert len(house.streams.ended) == 1


async def test_O2_a_delivery_that_waits_for_its_payload_is_not_sent_after_the_step_down(make_house: MakeHouse) -> None:
    house = await make_house(reclaim_after_fence_mismatch=True, payload_cache_bytes_max=0)
    gate = house.store.hold("payloads")
    await house.say(verb("start", '"late"', worker="w1"))
    await house.store.reached["payloads"].wait()
    house.store.will("commit", Fault.TAKEN)
    with pytest.raises(EngineStopping):
        await house.say(verb("fact", "lost"))
    gate.set()
    await house.pass_pauses()
    await house.until(lambda: house.engine.is_ready)
    await house.say(verb("start", '"new"', worker="w1"))
    await house.streams.until_delivered(1)
    assert [one.input.data for one in house.streams.delivered] == [b'"new"']  # type: ignore[union-attr]


async def test_R8_a_fatal_error_ends_the_engine(house: House) -> None:
    house.store.will("commit", Fault.BROKEN)
    with pytest.raises(EngineStopping, match="store failed it"):
        await house.say(verb("start", "{}", worker="w1"))
    with pytest.raises(FatalStoreError):
        await house.engine.run()
    assert house.streams.delivered == []
    assert house.streams.ended == ["the engine ended"]
    assert house.engine.health().is_live is False


async def test_an_error_without_a_name_is_checked_against_the_fence(house: House) -> None:
    house.store.will("commit", Fault.NAMELESS)
    reply = await house.say(verb("fact", "served in the second try"))
    assert reply
    assert house.store.happened["commit nameless"] == 1
    assert await house.stored() == ["served in the second try"]
    assert house.store.loads[1] == 2, "memory was rebuilt, because nobody knows what the error meant"


async def test_D3_numbers_have_no_gaps(house: House) -> None:
    house.store.will("commit", Fault.BUSY, Fault.ANSWER_LOST)
    first = house.submit(verb("fact", "a"))
    await house.pass_pauses()
    await first
    for name in "bcd":
        await house.say(verb("fact", name))
    assert await house.store.store.fences() == {ONLY_GROUP: Fence(house.engine.health().epoch or 0, 4)}
