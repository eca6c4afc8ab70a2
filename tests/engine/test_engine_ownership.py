"""One owner at a time: standing by, taking over, handing over, and a lease that is believed for less than it was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from engine_faults import Fault
from engine_house import DEFAULT_TENANT_ID, OTHER_TENANT, House, verb
from leased_store import LEASE_US, Database, LeasedStore

from limpet.core.errors import EngineStopping, InvalidArgument, NotOwner
from limpet.core.ids import MILLISECOND_US, SECOND_US
from limpet.engine.clock import ManualClock


class Pair:
    """Two servers over one database, in one time."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.database = Database(self.clock)
        self.first, self.second = self.server("first"), self.server("second")

    def server(self, name: str) -> House:
        return House(store=LeasedStore(self.database, name), clock=self.clock)

    async def start(self) -> None:
        """The first owns, the second stands by."""
        await self.first.start()
        await self.second.engine.start()

    async def pass_time(self, by_us: int) -> None:
        """In steps smaller than any duty's."""
        for _ in range(by_us // (100 * MILLISECOND_US)):
            self.clock.advance(100 * MILLISECOND_US)
            await turns()


async def turns(count: int = 30) -> None:
    """Let everybody who can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    one = Pair()
    await one.start()
    yield one
    for house in (one.first, one.second):
        stopping = asyncio.ensure_future(house.engine.stop(drain=False))
        while not stopping.done():  # what a test holds back is not waited for longer than an orchestrator would
            await one.pass_time(SECOND_US)


def store_of(house: House) -> LeasedStore:
    assert isinstance(house.store.store, LeasedStore)
    return house.store.store


async def freeze(house: House) -> None:
    """The server is gone, and never told the database."""
    engine = house.engine
    for task in [engine._serving, *engine._helpers]:
        assert task is not None
        task.cancel()
    await turns()


async def test_R20_a_standby_says_who_owns_the_store_and_answers_nothing_else(pair: Pair) -> None:
    engine = pair.second.engine
    for ask in (lambda: engine.tenant_no(DEFAULT_TENANT_ID), lambda: engine.workers(DEFAULT_TENANT_ID)):
        with pytest.raises(NotOwner, match="first at first:7077"):
            ask()
    with pytest.raises(NotOwner, match="connect there"):
        await pair.second.say(verb("fact"))
    assert engine.is_ready is False
    assert engine.standby is not None
    assert "first:7077" in engine.standby
    assert engine.health().is_live
    assert engine.health().reasons == (engine.standby,)
    assert pair.first.engine.standby is None


async def test_R14_an_idle_owner_renews_and_a_busy_one_need_not(pair: Pair) -> None:
    store = store_of(pair.first)
    await pair.pass_time(20 * SECOND_US)
    assert 6 <= store.renewals <= 10
    before = store.renewals
    for number in range(20):
        await pair.first.say(verb("fact", str(number)))
        await pair.pass_time(SECOND_US)
    assert store.renewals == before
    assert pair.first.engine.is_ready
    assert not pair.second.engine.is_ready


async def test_L5_a_standby_takes_over_when_the_lease_of_a_dead_owner_ends(pair: Pair) -> None:
    await pair.first.say(verb("fact", "kept"))
    await freeze(pair.first)
    await pair.pass_time(LEASE_US - SECOND_US)
    assert not pair.second.engine.is_ready
    await pair.pass_time(2 * SECOND_US)
    assert pair.second.engine.is_ready
    assert list(pair.second.core().facts.values()) == ["kept"]
    await pair.second.say(verb("fact", "new"))
    assert pair.second.engine.health().epoch == 2


async def test_R49_an_owner_that_stops_hands_over_at_once(pair: Pair) -> None:
    await pair.first.say(verb("fact", "kept"))
    await pair.first.engine.stop()
    await pair.pass_time(SECOND_US)
    assert pair.second.engine.is_ready
    assert list(pair.second.core().facts.values()) == ["kept"]


async def test_R49_the_store_is_given_up_before_the_streams_end(pair: Pair) -> None:
    """Answers still leave by them, and the standby need not wait until the last one has ended."""
    await pair.first.say(verb("fact", "kept"))
    await pair.first.engine.hand_over()
    await pair.pass_time(SECOND_US)
    assert pair.second.engine.is_ready
    assert pair.first.streams.ended == []
    with pytest.raises(EngineStopping):
        await pair.first.say(verb("fact", "late"))
    await pair.first.engine.stop()
    assert pair.first.streams.ended == ["the engine is stopping"]
    assert pair.second.engine.is_ready


async def test_a_standby_stops_without_waiting_for_the_store(pair: Pair) -> None:
    await pair.second.engine.stop()
    assert pair.first.engine.is_ready
    assert (await store_of(pair.first).holder()) is not None


async def test_O2_a_paused_owner_writes_nothing_after_the_take_over_and_stands_by(pair: Pair) -> None:
    gate = pair.first.store.hold("commit")
    reply = pair.first.submit(verb("start", "{}", worker="w1"))
    await pair.first.store.reached["commit"].wait()
    pair.first.store.will("renew", *[Fault.BUSY] * 20)
    await pair.pass_time(LEASE_US + SECOND_US)
    assert pair.second.engine.is_ready
    gate.set()
    with pytest.raises(EngineStopping, match="another owner"):
        await reply
    assert pair.first.streams.delivered == []
    assert pair.first.streams.ended[-1] == "the engine lost its store to another owner"
    await pair.pass_time(2 * SECOND_US)
    with pytest.raises(NotOwner, match="second:7077"):
        await pair.first.say(verb("fact"))


async def test_an_idle_owner_that_lost_its_lease_learns_it_from_the_renewal(pair: Pair) -> None:
    pair.first.store.will("renew", *[Fault.BUSY] * 11)
    await pair.pass_time(LEASE_US + 3 * SECOND_US)
    assert pair.second.engine.is_ready
    assert pair.first.metric("limpet_step_downs_total") == 1
    await pair.pass_time(SECOND_US)
    assert pair.first.engine.standby is not None
    await pair.second.engine.stop()
    await pair.pass_time(SECOND_US)
    assert pair.first.engine.is_ready, "the servers changed places twice"


async def test_R14_nothing_is_delivered_while_the_lease_is_not_trusted(pair: Pair) -> None:
    gate = pair.first.store.hold("commit")
    pair.first.store.will("renew", *[Fault.BUSY] * 3)
    reply = pair.first.submit(verb("start", "{}", worker="w1"))
    await pair.first.store.reached["commit"].wait()
    await pair.pass_time(LEASE_US - SECOND_US // 2)  # a commit that was sent so long ago proves nothing about now
    assert pair.first.store.happened["renew busy"] == 3
    pair.database.expires_at += LEASE_US  # no standby comes in between
    gate.set()
    await reply
    await turns()
    assert pair.first.streams.delivered == []
    await pair.pass_time(3 * SECOND_US)  # a renewal succeeds
    assert len(pair.first.streams.delivered) == 1


async def test_O3_nothing_is_answered_from_memory_while_the_lease_is_not_trusted(pair: Pair) -> None:
    pair.first.store.will("renew", *[Fault.BUSY] * 8)
    await pair.pass_time(LEASE_US - SECOND_US // 2)
    assert pair.first.store.happened["renew busy"] == 8
    pair.database.expires_at += LEASE_US
    reply = pair.first.submit(verb("refuse"))
    await turns()
    assert not reply.done()
    await pair.pass_time(SECOND_US)
    assert isinstance(reply.exception(), InvalidArgument)


async def test_an_owner_is_not_ready_while_its_lease_is_not_trusted(pair: Pair) -> None:
    """A paused owner that wakes must not draw calls back to itself before it has learned of its successor."""
    pair.first.store.will("renew", *[Fault.BUSY] * 8)
    await pair.pass_time(LEASE_US - SECOND_US // 2)
    assert pair.first.store.happened["renew busy"] == 8
    pair.database.expires_at += LEASE_US  # it turns out to be the owner still
    assert not pair.first.engine.is_ready
    assert "lease was not prolonged" in "".join(pair.first.engine.health().reasons)
    assert pair.first.engine.standby is None
    await pair.pass_time(SECOND_US)
    assert pair.first.engine.is_ready


async def test_R33_an_owner_whose_lease_has_run_out_lets_its_workers_go(pair: Pair) -> None:
    """It cannot reach the store, its workers can still reach it: they must find the new owner before that one gives them up."""
    pair.first.store.hold("renew")  # nobody answers, not even to refuse
    await pair.pass_time(LEASE_US - SECOND_US)
    assert pair.first.streams.ended == []
    await pair.pass_time(SECOND_US + pair.first.settings.lease_look_every_us)
    assert pair.first.streams.ended[:1] == ["the engine cannot reach its store, which may have another owner by now"]
    before = len(pair.first.streams.ended)
    await pair.pass_time(3 * SECOND_US)
    assert len(pair.first.streams.ended) > before, "who came back meanwhile was kept"
    assert pair.second.engine.is_ready
    assert pair.second.streams.ended == []


async def test_a_trouble_is_over_when_the_store_answers_even_if_it_refuses(pair: Pair) -> None:
    """Else a standby would speak of an outage that is long over, and would not mention the next one."""
    pair.second.store.will("claim", Fault.BUSY, Fault.BUSY)
    await pair.pass_time(SECOND_US)
    assert pair.second.store.happened["claim busy"] == 2
    assert pair.second.engine.health().reasons == (pair.second.engine.standby,)


async def test_a_stepped_down_owner_speaks_of_no_outage(pair: Pair) -> None:
    pair.first.store.will("renew", *[Fault.BUSY] * 30)
    pair.first.store.will("commit", *[Fault.BUSY] * 8)
    reply = pair.first.submit(verb("fact", "late"))
    await pair.pass_time(3 * LEASE_US)
    assert pair.first.store.happened["commit busy"] == 8
    assert isinstance(reply.exception(), EngineStopping)
    assert pair.first.engine.health().reasons == (pair.first.engine.standby,)


async def test_R15_a_wedged_loop_loses_its_lease(pair: Pair) -> None:
    pair.first.store.hold("look_up")
    pair.first.store.hold("commit")
    stuck = pair.first.submit(verb("fact", "never"))
    await pair.first.store.reached["commit"].wait()
    await pair.pass_time(LEASE_US + LEASE_US // 2 + 2 * SECOND_US)
    assert pair.second.engine.is_ready
    stuck.cancel()


async def test_tenants_made_beside_the_engine_are_served(pair: Pair) -> None:
    await store_of(pair.first).create_tenant(OTHER_TENANT, "other", pair.clock.now())
    await pair.pass_time(11 * SECOND_US)
    await pair.first.say(verb("fact", "theirs"), OTHER_TENANT)
    assert pair.second.engine.standby is not None
