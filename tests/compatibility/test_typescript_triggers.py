"""The unmodified official TypeScript client: events, filters, webhooks, crons, scheduled runs, calls over many runs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.compatibility.processes import EngineProcess, running, tenant_of, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.typescript.processes import TypeScriptClient, TypeScriptWorker

pytestmark = [pytest.mark.compat, pytest.mark.timeout(180)]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module", autouse=True)
def worker(engine: EngineProcess, typescript: None) -> Iterator[TypeScriptWorker]:
    process = TypeScriptWorker(engine, "ts-triggered", {"slots": 100, "programs": ["eventful", "timed"]})
    with running(process):
        yield process


def seen(engine: EngineProcess, event: dict[str, Any], count: int = 1) -> list[dict[str, Any]]:
    """What the runs of a pushed event wrote."""

    def look() -> list[dict[str, Any]]:
        lines = journal.read(engine.client_environment()["JOURNAL"])
        return [line for line in lines if line["kind"] == "event" and line["event_id"] == event["eventId"]]

    wait_for(f"{count} runs of {event}", lambda: len(look()) >= count)
    return look()


def ticks(engine: EngineProcess, number: int) -> list[dict[str, Any]]:
    lines = journal.read(engine.client_environment()["JOURNAL"])
    return [line for line in lines if line["kind"] == "ticker" and line["number"] == number]


def id_of(row: dict[str, Any]) -> str:
    return str(row["metadata"]["id"])


def ids_of(answer: dict[str, Any]) -> list[str]:
    return [id_of(row) for row in answer["rows"]]


class TestEvents:
    def test_B50_B54_B56_B69_an_event_starts_its_workflow_once(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        event = client.call("events.push", "order:created", {"n": 1}, {"additionalMetadata": {"m": "x"}, "priority": 3})
        (line,) = seen(engine, event)
        assert (line["task"], line["input"], line["key"], line["priority"]) == ("on-orders", {"n": 1}, "order:created", 3)
        assert line["metadata"].pop("traceparent")  # of its own, because the event names none (W9.3)
        assert line["metadata"] == {"m": "x", "hatchet__event_id": event["eventId"], "hatchet__event_key": "order:created"}
        (row,) = client.call("runs.list", {"triggeringEventExternalId": event["eventId"]})["rows"]
        assert row["workflowName"] == "on-orders"

    def test_B51_B52_what_is_refused(self, client: TypeScriptClient) -> None:
        assert "INVALID_ARGUMENT" in client.refusal("events.push", "", {})
        assert "INVALID_ARGUMENT" in client.refusal("events.push", "order:x", [1])
        for count in (0, 1_001):
            assert "INVALID_ARGUMENT" in client.refusal("events.bulkPush", "order:x", [{"payload": {}}] * count)

    def test_B53_B58_B61_B63_a_bulk_over_two_scopes_passes_its_filters(
        self, engine: EngineProcess, client: TypeScriptClient
    ) -> None:
        events = [{"payload": {"sum": 5 * n}, "scope": ("eu", "us", None)[n % 3], "priority": 2} for n in range(12)]
        pushed = client.call("events.bulkPush", "invoice", events)["events"]
        assert [event["payload"] for event in pushed] == [f'{{"sum":{5 * n}}}' for n in range(12)]
        for n in (1, 3, 4, 6, 7, 9, 10):  # `us` takes all of them, `eu` those of 10 and more
            (line,) = seen(engine, pushed[n])
            assert (line["input"], line["filter"]) == ({"sum": 5 * n}, {"least": 0 if n % 3 == 1 else 10})
            assert line["priority"] == 2
        rows = client.call("events.list", {"eventIds": [event["eventId"] for event in pushed]})["rows"]
        assert sorted(len(row["triggeredRuns"]) for row in rows) == [0] * 5 + [1] * 7

    def test_B68_events_are_listed_by_key_scope_and_metadata(self, client: TypeScriptClient) -> None:
        for scope, color in (("one", "red"), ("two", "red"), ("two", "blue")):
            client.call("events.push", "listed", {}, {"scope": scope, "additionalMetadata": {"color": color}})

        def found(**wanted: Any) -> list[tuple[str, str]]:
            rows = client.call("events.list", {"keys": ["listed"], **wanted})["rows"]
            return [(row["scope"], row["additionalMetadata"]["color"]) for row in rows]

        assert found() == [("two", "blue"), ("two", "red"), ("one", "red")]
        assert found(scopes=["two"], additionalMetadata=["color:red"]) == [("two", "red")]

    def test_B59_B60_B62_B64_B65_filters_by_calls(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        workflow = client.call("workflows.getWorkflowIdFromName", "on-orders")
        given = {"workflowId": workflow, "scope": "calls"}
        one = client.call("filters.create", {**given, "expression": "input.n > payload.min", "payload": {"min": 1}})
        two = client.call("filters.create", {**given, "expression": "input.missing", "payload": {"two": 2}})
        event = client.call("events.push", "order:x", {"n": 2}, {"scope": "calls"})
        assert [line["filter"] for line in seen(engine, event)] == [{"min": 1}]
        client.call("filters.update", id_of(two), {"expression": "input.n == 2"})
        event = client.call("events.push", "order:x", {"n": 2}, {"scope": "calls"})
        assert sorted(str(line["filter"]) for line in seen(engine, event, 2)) == ["{'min': 1}", "{'two': 2}"]
        assert client.call("filters.get", id_of(two))["payload"] == {"two": 2}
        assert ids_of(client.call("filters.list", {"workflowIds": [workflow], "scopes": ["calls"]})) == [id_of(two), id_of(one)]
        for made in (one, two):
            assert id_of(client.call("filters.delete", id_of(made))) == id_of(made)
        event = client.call("events.push", "order:x", {"n": 0}, {"scope": "whatever"})
        assert [line["filter"] for line in seen(engine, event)] == [{}]

    def test_B90_B91_B101_webhooks_made_by_the_client_take_posts(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        key, scope, static = "'order:' + input.kind", "headers['x-scope']", {"static": 1}
        given = {"sourceName": "GENERIC", "eventKeyExpression": key, "scopeExpression": scope, "staticPayload": static}
        basic = {"authorization": "Basic " + base64.b64encode(b"u:p").decode()}
        for name, auth in (("plain", {"username": "u", "password": "p"}), ("keyed", {"headerName": "x-key", "apiKey": "k"})):
            assert client.call("webhooks.create", {**given, "name": name, "auth": auth})["name"] == name
        for name, headers in (("plain", basic), ("keyed", {"x-key": "k"})):
            url = f"http://127.0.0.1:{engine.http_port}/api/v1/stable/tenants/{tenant_of(engine.token)}/webhooks/{name}"
            answer = httpx.post(url, json={"kind": "posted"}, headers={"x-scope": "s", **headers})
            (line,) = seen(engine, {"eventId": answer.json()["event"]["metadata"]["id"]})
            assert (line["key"], line["input"]) == ("order:posted", {"kind": "posted", "static": 1})
            assert httpx.post(url, json={"kind": "posted"}).status_code == 403
        assert {row["name"] for row in client.call("webhooks.list", {})["rows"]} == {"plain", "keyed"}
        assert client.call("webhooks.update", "plain", {"eventKeyExpression": "'order:fixed'"})["authType"] == "BASIC"
        assert client.call("webhooks.get", "plain")["eventKeyExpression"] == "'order:fixed'"
        assert [client.call("webhooks.delete", name)["name"] for name in ("plain", "keyed")] == ["plain", "keyed"]


class TestTimetable:
    def test_B70_a_cron_of_each_second_runs(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        (declared,) = client.call("crons.list", {"workflow": "ticker"})["rows"]
        assert (declared["cron"], declared["method"], declared["enabled"]) == ("* * * * * *", "DEFAULT", True)
        wait_for("two ticks", lambda: len(ticks(engine, 7)) >= 2)
        found = [tick["metadata"] for tick in ticks(engine, 7)]
        assert {one["hatchet__cron_expression"] for one in found} == {"* * * * * *"}
        slots = [one["hatchet__cron_scheduled_at"] for one in found]
        assert len(set(slots)) == len(slots)

    def test_B71_B72_B73_B78_crons_by_calls(self, client: TypeScriptClient) -> None:
        nightly = {"name": "nightly", "expression": "0 3 * * *", "input": {"number": 21}, "additionalMetadata": {"made": "here"}}
        made = client.call("crons.create", "ticker", nightly)
        hourly = client.declared("ticker", "cron", "hourly", "@hourly", {"number": 22}, {"priority": 3})
        assert (hourly["name"], hourly["cron"], hourly["input"], hourly["priority"]) == ("hourly", "@hourly", {"number": 22}, 3)
        assert client.call("crons.get", made)["additionalMetadata"] == {"made": "here"}
        assert ids_of(client.call("crons.list", {"cronName": "nightly", "additionalMetadata": ["made:here"]})) == [id_of(made)]
        assert "has a cron nightly with the expression 0 3 * * * already" in client.refusal("crons.create", "ticker", nightly)
        assert "use five fields" in client.refusal("crons.create", "ticker", {"name": "bad", "expression": "* * *"})
        for one in (made, hourly):
            assert client.call("crons.delete", one) is None
            assert f"cron {id_of(one)} not found" in client.refusal("crons.get", one)

    def test_B79_B80_runs_start_at_their_times_with_what_was_given(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        at = datetime.now(UTC) + timedelta(seconds=1.5)
        client.declared("ticker", "schedule", at, {"number": 100}, {"additionalMetadata": {"who": "me"}, "priority": 3})
        client.declared("ticker", "delay", 1, {"number": 102})
        client.call("schedules.create", "ticker", {"triggerAt": datetime.now(UTC) - HOUR, "input": {"number": 101}})
        wait_for("the past one", lambda: ticks(engine, 101))
        wait_for("the others", lambda: ticks(engine, 100) and ticks(engine, 102))
        (tick,) = ticks(engine, 100)
        assert tick["at"] >= at.timestamp()
        assert (tick["priority"], tick["metadata"]["who"]) == (3, "me")

    def test_B81_to_B87_scheduled_runs_are_moved_and_deleted(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        far = datetime.now(UTC) + HOUR
        made = [
            client.call(
                "schedules.create",
                "ticker",
                {"triggerAt": far, "input": {"number": 200 + n}, "additionalMetadata": {"half": str(n // 2)}},
            )
            for n in range(4)
        ]
        ids = [id_of(row) for row in made]
        assert ids_of(client.call("schedules.list", {"workflow": "ticker", "additionalMetadata": ["half:1"]})) == [ids[3], ids[2]]
        assert client.call("schedules.get", made[1])["input"] == {"number": 201}
        client.call("schedules.update", made[0], {"triggerAt": datetime.now(UTC)})
        wait_for("the moved one", lambda: ticks(engine, 200))
        for method in ("schedules.get", "schedules.delete"):
            assert "has started its run" in client.refusal(method, made[0])
        moved = client.call("schedules.bulkUpdate", [{"scheduledRun": made[n], "triggerAt": far + HOUR} for n in (1, 0)])
        assert (moved["updatedIds"], len(moved["errors"])) == ([ids[1]], 1)
        gone = client.call("schedules.bulkDelete", {"scheduledRuns": [made[1], made[0]]})
        assert (gone["deletedIds"], len(gone["errors"])) == ([ids[1]], 1)
        gone = client.call("schedules.bulkDelete", {"filter": {"additionalMetadata": ["half:1"]}})
        assert sorted(gone["deletedIds"]) == sorted(ids[2:])
        assert ids_of(client.call("schedules.list", {})) == []


class TestManyRuns:
    def test_A90_W12_8_W12_9_runs_are_cancelled_and_replayed_by_filter(
        self, engine: EngineProcess, client: TypeScriptClient
    ) -> None:
        before = datetime.now(UTC) - HOUR
        options = {"additionalMetadata": {"group": "g"}, "desiredWorkerLabels": {"zone": {"value": "nowhere", "required": True}}}
        waiting = client.do("start", workflow="ticker", input=[{"number": 300 + n} for n in range(3)], options=options)
        chosen = {"since": before, "workflowNames": ["ticker"], "additionalMetadata": {"group": "g"}}
        assert ids_of(client.call("runs.list", {**chosen, "statuses": ["QUEUED"]})) == waiting[::-1]
        client.call("runs.cancel", {"filters": {**chosen, "statuses": ["QUEUED"]}})
        assert client.do("settled", runs=waiting) == ["CANCELLED"] * 3
        client.call("runs.replay", {"filters": {**chosen, "statuses": ["CANCELLED"]}})
        wait_for("they wait again", lambda: len(client.call("runs.list", {**chosen, "statuses": ["QUEUED"]})["rows"]) == 3)
        client.call("runs.cancel", {"filters": chosen})
        assert client.do("settled", runs=waiting) == ["CANCELLED"] * 3
