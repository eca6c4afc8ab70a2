"""Start, stop, and start again."""

from __future__ import annotations

import asyncio

import pytest
from engine_echo import EchoMachine
from engine_faults import Fault
from engine_house import DEFAULT_TENANT_ID, OTHER_TENANT, House, MakeHouse, verb

from limpet.core.errors import EngineStopping
from limpet.core.ids import Instant, TenantNo, WorkerId
from limpet.core.inputs import StreamClosed, StreamOpened, WorkerUnsubscribed
from limpet.core.views import WorkerView
from limpet.engine.engine import Engine
from limpet.engine.presence import Presence
from limpet.store.api import LogLine, TransientStoreError


async def test_the_default_tenant_is_made_at_the_first_start_only(house: House) -> None:
    [tenant] = await house.store.tenants()
    assert (tenant.id, tenant.name) == (DEFAULT_TENANT_ID, "default")
    assert house.engine.tenant_no(DEFAULT_TENANT_ID) == tenant.no


async def test_start_passes_on_what_the_store_has_against_it(make_house: MakeHouse) -> None:
    house = await make_house(started=False)

    async def refuse() -> None:
        raise TransientStoreError("no route to host")

    house.store.store.open = refuse  # type: ignore[method-assign]
    with pytest.raises(TransientStoreError):
        await house.engine.start()
    assert house.engine.is_ready is False
    with pytest.raises(EngineStopping):
        await house.say(verb("fact"))
    await house.engine.stop()


async def test_start_waits_for_a_claim_in_passing_trouble(make_house: MakeHouse) -> None:
    house = await make_house(started=False)
    house.store.will("claim", Fault.BUSY)
    starting = asyncio.ensure_future(house.start())
    await house.pass_pauses()
    await starting
    assert house.store.happened["claim busy"] == 1
    assert house.engine.is_ready


async def test_stop_drains_what_waits(house: House) -> None:
    gate = house.store.hold("commit")
    replies = [house.submit(verb("fact", "in hand"))]
    await house.store.reached["commit"].wait()
    replies += [house.submit(verb("fact", str(n))) for n in range(3)]
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(house.engine.stop())
    await asyncio.sleep(0)
    with pytest.raises(EngineStopping):
        await house.say(verb("fact", "too late"))
    gate.set()
    await asyncio.gather(*replies)
    await stopping
    await house.engine.run()
    assert len(house.store.commits) == 2
    assert house.streams.ended == ["the engine is stopping"]
    assert house.store.is_closed


async def test_stop_waits_for_log_lines_that_are_being_written(house: House) -> None:
    gate = house.store.hold("append_logs")
    house.engine.log(LogLine(1, "t", 0, 0, "INFO", "last words", "{}"))
    await house.store.reached["append_logs"].wait()
    stopping = asyncio.ensure_future(house.engine.stop())
    await house.until(lambda: bool(house.streams.ended))
    gate.set()
    await stopping
    assert [one.message for one in house.store.logs] == ["last words"]


async def test_stop_without_draining_refuses_what_waits_and_finishes_the_commit(house: House) -> None:
    gate = house.store.hold("commit")
    in_hand = house.submit(verb("fact", "in hand"))
    await house.store.reached["commit"].wait()
    waiting = house.submit(verb("fact", "waiting"))
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(house.engine.stop(drain=False))
    with pytest.raises(EngineStopping):
        await waiting
    gate.set()
    assert await in_hand
    await stopping


async def test_stop_does_not_wait_for_ever_for_a_store_in_trouble(house: House) -> None:
    house.store.will("commit", *[Fault.BUSY] * 1_000)
    reply = house.submit(verb("fact", "never"))
    await house.clock.until_awaited(house.clock.now() + 50_000)
    stopping = asyncio.ensure_future(house.engine.stop())
    await asyncio.sleep(0)
    house.clock.advance(house.settings.drain_max_us)
    await stopping
    with pytest.raises(EngineStopping, match="before this was durable"):
        await reply
    assert house.store.happened["commit busy"] >= 1


async def test_stop_delivers_what_still_waits_for_its_payloads(make_house: MakeHouse) -> None:
    house = await make_house(payload_cache_bytes_max=0)
    gate = house.store.hold("payloads")
    await house.say(verb("start", '"x"', worker="w1"))
    stopping = asyncio.ensure_future(house.engine.stop())
    await house.store.reached["payloads"].wait()
    await house.idle()
    assert house.streams.ended == []
    gate.set()
    await stopping
    assert len(house.streams.delivered) == 1


async def test_a_second_engine_on_the_same_store_knows_what_the_first_was_told(house: House) -> None:
    told = [await house.say(verb("fact", f"f{n}")) for n in range(3)]
    epoch = house.engine.health().epoch or 0
    await house.engine.stop()
    again = Engine(house.store, house.streams, house.clock, house.settings, load_core=EchoMachine.load)  # type: ignore[arg-type]
    await again.start()
    assert sorted(view.worker_id for view in again.workers(DEFAULT_TENANT_ID)) == sorted(told)
    assert (again.health().epoch, again.health().commit_seq) == (epoch + 1, 3)
    await again.stop()


async def test_violations_at_load_are_counted_and_the_tenant_is_served(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoMachine, "check", lambda self: ["T1: two places"])
    await house.engine.create_tenant(OTHER_TENANT, "other")
    assert await house.say(verb("fact", "served"), OTHER_TENANT)
    assert house.metric("limpet_invariant_failures_total") == 1


async def test_a_tenant_that_cannot_be_loaded_at_the_start_does_not_stop_it(make_house: MakeHouse) -> None:
    house = await make_house()
    await house.engine.create_tenant(OTHER_TENANT, "other")
    await house.engine.stop()
    house.store.will("load", Fault.DATA)
    again = Engine(house.store, house.streams, house.clock, house.settings, load_core=EchoMachine.load)  # type: ignore[arg-type]
    await again.start()
    assert house.store.happened["load data"] == 1
    assert again.is_ready
    assert again.health().tenants_halted == 1
    await again.submit(OTHER_TENANT, verb("fact", "fine"))
    await again.stop()


def worker_view(worker_id: str, seen_at: int | None, *, lost_at: int | None = None) -> WorkerView:
    return WorkerView(1, worker_id, "w", (), (), (), b"{}", 0, seen_at, True, False, lost_at, None, ())


class TestPresence:
    """What a reload must not forget, and must not invent (R31)."""

    def presence(self, *sessions: int) -> Presence:
        presence = Presence()
        for session in sessions:
            presence.note_input(StreamOpened("w", session), None)
        return presence

    def test_open_streams_are_told_again_oldest_first(self) -> None:
        presence = self.presence(1, 2, 3, 2)
        presence.note_input(StreamClosed("w", 1), None)
        presence.note_input(StreamClosed("unknown", 1), None)
        presence.remember([worker_view("w", 90)])
        opened, closed = presence.reopen(Instant(100), within_us=20)
        assert [item.session for item in opened] == [2, 3]
        assert closed == []

    def test_R31_a_worker_that_was_silent_must_reconnect(self) -> None:
        presence = self.presence(1)
        presence.remember([worker_view("w", 70)])
        opened, closed = presence.reopen(Instant(100), within_us=20)
        assert (opened, [(item.worker_id, item.session) for item in closed]) == ([], [(WorkerId("w"), None)])

    def test_T_LOST_RELOAD_a_lost_worker_stays_lost_although_its_stream_is_open(self) -> None:
        presence = self.presence(1)
        presence.remember([worker_view("w", 99, lost_at=50)])
        opened, _ = presence.reopen(Instant(100), within_us=20)
        assert opened == []
        assert presence.seen == {"w": 99}, "for a loss that was never durable this counts"

    def test_R31_reloading_often_does_not_make_the_silent_look_alive(self) -> None:
        presence = self.presence(1)
        presence.remember([worker_view("w", 90)])
        presence.reopen(Instant(100), within_us=20)
        presence.remember([worker_view("w", 100)])  # the core took the handed back stream for a sign of life
        assert presence.seen == {"w": 90}
        opened, closed = presence.reopen(Instant(115), within_us=20)
        assert (opened, len(closed)) == ([], 1)

    def test_a_real_sign_of_life_after_a_reload_counts(self) -> None:
        presence = self.presence(1)
        presence.remember([worker_view("w", 90)])
        presence.reopen(Instant(100), within_us=20)
        presence.remember([worker_view("w", 110)])
        assert presence.seen == {"w": 110}

    def test_who_unsubscribed_or_was_cut_off_has_no_streams(self) -> None:
        presence = self.presence(1, 2)
        presence.note_input(WorkerUnsubscribed("w"), None)
        presence.remember([worker_view("w", 100)])
        assert presence.reopen(Instant(100), within_us=20) == ([], [])


def test_tenant_numbers_are_what_the_store_gave(house: House) -> None:
    assert house.engine.tenant_no(DEFAULT_TENANT_ID) == TenantNo(1)
