"""Events and filters with the unmodified official client, and an engine that dies while they come."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hatchet_sdk import BulkPushEventWithMetadata, Hatchet
from hatchet_sdk.clients.rest.models.v1_update_filter_request import V1UpdateFilterRequest
from hatchet_sdk.clients.rest.models.v1_webhook_basic_auth import V1WebhookBasicAuth
from hatchet_sdk.clients.rest.models.v1_webhook_hmac_algorithm import V1WebhookHMACAlgorithm
from hatchet_sdk.clients.rest.models.v1_webhook_hmac_auth import V1WebhookHMACAuth
from hatchet_sdk.clients.rest.models.v1_webhook_hmac_encoding import V1WebhookHMACEncoding
from hatchet_sdk.clients.rest.models.v1_webhook_source_name import V1WebhookSourceName

from tests.compatibility.conftest import client_of, worker_for_all
from tests.compatibility.processes import EngineProcess, WorkerProcess, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.programs.eventful import build_eventful

pytestmark = pytest.mark.compat


worker = worker_for_all("eventful", {"slots": 100, "program": "eventful"})


def lines(engine: EngineProcess, event_id: str) -> list[dict[str, Any]]:
    found = journal.read(engine.client_environment()["JOURNAL"])
    return [line for line in found if line["kind"] == "event" and line["event_id"] == event_id]


async def seen(engine: EngineProcess, event_id: str, count: int = 1) -> list[dict[str, Any]]:
    await asyncio.to_thread(wait_for, f"{count} runs of {event_id}", lambda: len(lines(engine, event_id)) >= count)
    return lines(engine, event_id)


async def test_B50_B54_B56_B69_an_event_starts_its_workflow_once(engine: EngineProcess, hatchet: Hatchet) -> None:
    event = await hatchet.event.aio_push("order:created", {"n": 1}, additional_metadata={"m": "x"}, priority=3)
    (line,) = await seen(engine, event.event_id)
    assert (line["task"], line["input"], line["key"], line["priority"]) == ("on-orders", {"n": 1}, "order:created", 3)
    assert line["metadata"].pop("traceparent")  # of its own, because the event names none (W9.3)
    assert line["metadata"] == {"m": "x", "hatchet__event_id": event.event_id, "hatchet__event_key": "order:created"}
    runs = await hatchet.runs.aio_list(triggering_event_external_id=event.event_id)
    assert [row.workflow_name for row in runs.rows] == ["on-orders"]
    assert (await hatchet.event.aio_list(keys=["order:created"])).rows[0].triggered_runs[0].workflow_run_id


async def test_B51_B52_what_is_refused(hatchet: Hatchet) -> None:
    for call in (
        lambda: hatchet.event.push("", {}),
        lambda: hatchet.event.bulk_push([]),
        lambda: hatchet.event.bulk_push([BulkPushEventWithMetadata(key="k", payload={})] * 1001),
    ):
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            await asyncio.to_thread(call)


async def test_B58_B61_F5_18_bulk_events_over_two_scopes_pass_their_filters(engine: EngineProcess, hatchet: Hatchet) -> None:
    events = [
        BulkPushEventWithMetadata(key="invoice", payload={"sum": 5 * n}, scope=("eu", "us", None)[n % 3]) for n in range(12)
    ]
    pushed = await hatchet.event.aio_bulk_push(events)
    passed = [n for n in range(12) if n % 3 == 1 or (n % 3 == 0 and 5 * n >= 10)]
    for n in passed:
        (line,) = await seen(engine, pushed[n].event_id)
        assert (line["input"], line["filter"]) == ({"sum": 5 * n}, {"least": 10 if n % 3 == 0 else 0})
    rows = (await hatchet.event.aio_list(event_ids=[event.event_id for event in pushed])).rows
    assert Counter(len(row.triggered_runs) for row in rows) == {1: len(passed), 0: 12 - len(passed)}


async def test_B60_B62_B64_B65_filters_by_calls(engine: EngineProcess, hatchet: Hatchet) -> None:
    task = build_eventful(hatchet)["on-orders"]
    one = await task.aio_create_filter("input.n > payload.min", "calls", {"min": 1})
    two = await hatchet.filters.aio_create(task.id, "input.missing", "calls", {"two": 2})
    event = await hatchet.event.aio_push("order:x", {"n": 2}, scope="calls")
    assert [line["filter"] for line in await seen(engine, event.event_id)] == [{"min": 1}]
    await hatchet.filters.aio_update(two.metadata.id, V1UpdateFilterRequest(expression="input.n == 2"))
    both = await hatchet.event.aio_push("order:x", {"n": 2}, scope="calls")
    assert sorted(map(str, (line["filter"] for line in await seen(engine, both.event_id, 2)))) == ["{'min': 1}", "{'two': 2}"]
    assert (await hatchet.filters.aio_get(two.metadata.id)).payload == {"two": 2}
    assert len((await hatchet.filters.aio_list(workflow_ids=[task.id], scopes=["calls"])).rows) == 2
    for made in (one, two):
        assert (await hatchet.filters.aio_delete(made.metadata.id)).metadata.id == made.metadata.id
    free = await hatchet.event.aio_push("order:x", {"n": 0}, scope="whatever")
    assert (await seen(engine, free.event_id))[0]["filter"] == {}


async def test_B90_B92_F8_15_webhooks_made_by_the_client_take_posts(engine: EngineProcess, hatchet: Hatchet) -> None:
    basic = V1WebhookBasicAuth(username="u", password="p")
    signed = V1WebhookHMACAuth(
        algorithm=V1WebhookHMACAlgorithm.SHA1, encoding=V1WebhookHMACEncoding.BASE64, signature_header_name="x-sig",
        signing_secret="s3cret",
    )  # fmt: skip
    for name, source, auth in (("plain", "GENERIC", basic), ("signed", "GITHUB", signed)):
        made = await hatchet.webhooks.aio_create(
            V1WebhookSourceName(source), name, "'order:' + input.kind", auth, "headers['x-scope']", {"static": 1}
        )
        assert (made.name, made.source_name.value) == (name, source)
    body = b'{"kind": "posted", "n": 3}'
    signature = base64.b64encode(hmac.new(b"s3cret", body, hashlib.sha1).digest()).decode()
    for name, headers in (
        ("plain", {"authorization": "Basic " + base64.b64encode(b"u:p").decode()}),
        ("signed", {"x-sig": signature}),
    ):
        url = f"{hatchet.config.server_url}/api/v1/stable/tenants/{hatchet.config.tenant_id}/webhooks/{name}"
        given = {"content-type": "application/json", "x-scope": "s"}
        answer = await asyncio.to_thread(httpx.post, url, content=body, headers={**given, **headers})
        assert answer.status_code == 200, answer.text
        (line,) = await seen(engine, answer.json()["event"]["metadata"]["id"])
        assert (line["key"], line["input"]) == ("order:posted", {"kind": "posted", "n": 3, "static": 1})
        assert (await asyncio.to_thread(httpx.post, url, content=body, headers=given)).status_code == 403
    assert {row.name for row in (await hatchet.webhooks.aio_list()).rows} == {"plain", "signed"}
    updated = await hatchet.webhooks.aio_update("plain", return_event_as_response_payload=False)
    assert updated.return_event_as_response_payload is False
    event = (await hatchet.event.aio_list(keys=["order:posted"])).rows[0]
    assert (event.triggering_webhook_name, event.scope) == ("signed", "s")
    assert [(await hatchet.webhooks.aio_delete(name)).name for name in ("plain", "signed")] == ["plain", "signed"]


def test_E1_events_pushed_while_the_engine_dies_start_their_runs_once(
    own_engine: EngineProcess, workers: Callable[..., WorkerProcess]
) -> None:
    workers(own_engine, "eventful", slots=100, program="eventful")
    hatchet = client_of(own_engine)
    told: list[str] = []

    def push() -> None:
        while len(told) < 60:
            events = [BulkPushEventWithMetadata(key="order:created", payload={"n": n}) for n in range(10)]
            try:
                told.extend(event.event_id for event in hatchet.event.bulk_push(events))
            except Exception:
                continue

    pushing = threading.Thread(target=push)
    pushing.start()
    wait_for("the first events", lambda: len(told) >= 20)
    own_engine.kill()
    own_engine.start()
    pushing.join()
    counts = Counter(
        line["event_id"] for line in journal.read(own_engine.client_environment()["JOURNAL"]) if line["kind"] == "event"
    )
    wait_for("every event", lambda: told_all(own_engine, told))
    rows = [hatchet.event.get(one) for one in told]
    assert {len(row.triggered_runs or []) for row in rows} == {1}
    assert set(counts) <= {row.metadata.id for row in hatchet.event.list(limit=500).rows or []}


def told_all(engine: EngineProcess, told: list[str]) -> bool:
    """Whether each event that somebody was told of has reached its task."""
    found = {line["event_id"] for line in journal.read(engine.client_environment()["JOURNAL"]) if line["kind"] == "event"}
    return found.issuperset(told)
