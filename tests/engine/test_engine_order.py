"""Commit first, then tell; and what arrives meanwhile is the next batch."""

from __future__ import annotations

import asyncio

import pytest
from engine_faults import seq_of
from engine_house import OTHER_TENANT, House, MakeHouse, verb

from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.inputs import StreamOpened, WorkerSeen
from limpet.engine.recovery import DEFAULT_TENANT_ID


async def test_D2_no_reply_and_no_delivery_before_the_commit_returns(house: House) -> None:
    gate = house.store.hold("commit")
    reply = house.submit(verb("start", "{}", worker="w1"))
    await house.store.reached["commit"].wait()
    assert not reply.done()
    assert house.streams.delivered == []
    gate.set()
    await reply
    assert len(house.streams.delivered) == 1
    assert house.store.journal == ["committed 1"]


async def test_R5_what_arrives_during_a_commit_is_one_next_batch(house: House) -> None:
    gate = house.store.hold("commit")
    first = house.submit(verb("fact", "first"))
    await house.store.reached["commit"].wait()
    later = [house.submit(verb("fact", f"later {n}")) for n in range(20)]
    await asyncio.sleep(0)  # the tasks of the callers run up to their wait
    assert len(house.store.commits) == 1
    gate.set()
    await asyncio.gather(first, *later)
    assert [len(batch.changes[0][1].workers) for batch in house.store.commits] == [1, 20]
    assert [seq_of(batch) for batch in house.store.commits] == [1, 2]


async def test_R10_a_batch_without_changes_needs_no_commit(house: House) -> None:
    worker_id = await house.say(verb("fact", "a worker"))
    await house.say(WorkerSeen(worker_id))
    await house.say(StreamOpened(worker_id, 1))
    assert len(house.store.commits) == 1


async def test_a_refused_input_raises_its_error_and_its_neighbours_are_served(house: House) -> None:
    refused, served = house.submit(verb("refuse")), house.submit(verb("fact", "fine"))
    with pytest.raises(InvalidArgument, match="script says no"):
        await refused
    assert await served
    assert house.metric("limpet_stale_reports_total", cause="scripted") == 1


async def test_R52_needed_records_are_looked_up_before_the_step(house: House) -> None:
    await house.say(verb("look", "request-1"))
    assert house.core().found[-1] is not None
    await house.say(verb("fact", "x"))
    assert house.core().found[-1] is None


async def test_one_commit_carries_the_changes_of_all_tenants_of_a_turn(house: House) -> None:
    await house.engine.create_tenant(OTHER_TENANT, "other")
    await asyncio.gather(house.submit(verb("fact", "mine")), house.submit(verb("fact", "theirs"), OTHER_TENANT))
    assert len(house.store.commits) == 1
    assert (await house.stored(), await house.stored(OTHER_TENANT)) == (["mine"], ["theirs"])


async def test_R6_explain_waits_for_the_commit_of_what_it_has_seen(house: House) -> None:
    gate = house.store.hold("commit")
    reply = house.submit(verb("fact", "seen early"))
    await house.store.reached["commit"].wait()
    fact_id = next(iter(house.core().facts))
    explaining = asyncio.ensure_future(house.engine.explain(DEFAULT_TENANT_ID, fact_id))
    await asyncio.sleep(0)
    assert not explaining.done()
    gate.set()
    assert (await explaining).text == "seen early"
    await reply


async def test_R6_explain_does_not_repeat_what_never_became_durable(house: House) -> None:
    gate = house.store.hold("commit")
    reply = house.submit(verb("poison", "soon gone"))
    await house.store.reached["commit"].wait()
    fact_id = next(iter(house.core().facts))
    explaining = asyncio.ensure_future(house.engine.explain(DEFAULT_TENANT_ID, fact_id))
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(NotFound):
        await explaining
    await asyncio.gather(reply, return_exceptions=True)
    assert house.store.happened["commit poisoned"] == 2


async def test_a_task_that_has_ended_is_explained_from_its_row(house: House) -> None:
    await house.say(verb("start", "{}", worker="w1"))
    start = house.streams.delivered[0]
    explanation = await house.engine.explain(DEFAULT_TENANT_ID, start.task_run_id)  # type: ignore[union-attr]
    assert explanation.outlook == "ended"
    assert "completed at 2025-06-15T" in explanation.text


async def test_an_unknown_tenant_is_not_found(house: House) -> None:
    with pytest.raises(NotFound):
        await house.say(verb("fact"), OTHER_TENANT)
    assert house.engine.tenant_no(OTHER_TENANT) is None
    house.engine.notify(OTHER_TENANT, WorkerSeen("w"))  # nobody is told, nothing happens


async def test_T_NOISY_TENANT_is_served_at_most_its_share_a_turn(make_house: MakeHouse) -> None:
    house = await make_house(tenant_turn_max=20, input_batch_max=50)
    await house.engine.create_tenant(OTHER_TENANT, "quiet")
    gate = house.store.hold("commit")
    blocker = house.submit(verb("fact", "blocker"))
    await house.store.reached["commit"].wait()
    flood = [house.submit(verb("fact", f"flood {n}")) for n in range(100)]
    quiet = [house.submit(verb("fact", "quiet"), OTHER_TENANT) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(blocker, *flood, *quiet)
    by_turn = [[(no, len(changes.workers)) for no, changes in batch.changes] for batch in house.store.commits]
    mine, theirs = (house.engine.tenant_no(tenant) for tenant in (DEFAULT_TENANT_ID, OTHER_TENANT))
    assert by_turn[1] == [(mine, 20), (theirs, 3)]
    assert by_turn[2:] == [[(mine, 20)]] * 4
