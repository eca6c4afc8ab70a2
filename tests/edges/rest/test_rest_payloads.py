"""Payloads in answers: spliced, wrapped where the wire wants an object, and left out openly when they are too many."""

from __future__ import annotations

import httpx
import orjson
import pytest

from limpet.core.rows import TaskStatus
from limpet.edges.rest import payloads
from limpet.edges.rest.payloads import object_of

from .world import TENANT, World, task

RUNS = f"/api/v1/stable/tenants/{TENANT.id}/workflow-runs"
SINCE = {"since": "2020-01-01T00:00:00Z", "only_tasks": "true"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, b"{}"),
        (b"", b"{}"),
        (b"null", b"{}"),
        (b'{"a": 1.0}', b'{"a": 1.0}'),
        (b' \n{"a":1}', b'{"a":1}'),
        (b"[1,2]", b'{"value":[1,2]}'),
        (b'"text"', b'{"value":"text"}'),
        (b"123456789012345678901234567890", b'{"value":123456789012345678901234567890}'),
    ],
)
def test_trap_1_a_payload_is_always_an_object(data: bytes | None, text: bytes) -> None:
    assert orjson.dumps(object_of(data)) == text


async def test_X26_the_largest_payloads_are_left_out_whole_and_the_answer_says_so(
    world: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "ANSWER_PAYLOAD_BYTES_MAX", 100)
    await world.workflow("greet")
    small, large = await world.run("greet", TaskStatus.COMPLETED), await world.run("greet", TaskStatus.COMPLETED)
    text = b'{"a":"' + b"x" * 100 + b'"}'
    await world.change(large.tasks[0], output=text, output_bytes=len(text))
    rows = {row["taskExternalId"]: row for row in (await http.get(RUNS, params=SINCE)).json()["rows"]}
    assert rows[small.run.id]["output"] == {"sum": 3}
    assert rows[small.run.id]["payloadsRestricted"] is False
    assert rows[large.run.id]["output"] == {}
    assert rows[large.run.id]["input"] == {"n": 1.0}
    assert rows[large.run.id]["payloadsRestricted"] is True
    assert str(len(text)) in rows[large.run.id]["errorMessage"]
    assert rows[large.run.id]["status"] == "COMPLETED"


async def test_X26_an_input_counts_once_for_each_task_that_shows_it(
    world: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "ANSWER_PAYLOAD_BYTES_MAX", 25)
    await world.workflow("Report", task("fetch", "Report"), task("write", "Report"))
    record = await world.run("Report", TaskStatus.QUEUED, TaskStatus.QUEUED)
    details = (await http.get(f"/api/v1/stable/workflow-runs/{record.run.id}")).json()
    assert details["run"]["input"] == {}
    assert details["run"]["payloadsRestricted"] is True
    assert "the input of 10 bytes" in details["run"]["errorMessage"]


async def test_payloads_that_the_page_left_out_are_read_by_their_keys(
    world: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limpet.store.memory.reader.PAGE_PAYLOAD_BYTES_MAX", 0)
    await world.workflow("greet")
    await world.run("greet", TaskStatus.COMPLETED)
    (row,) = (await http.get(RUNS, params=SINCE)).json()["rows"]
    assert (row["input"], row["output"]) == ({"n": 1.0}, {"sum": 3})
