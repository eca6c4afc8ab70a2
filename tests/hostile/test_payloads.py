"""Payloads that cannot be stored, sent or put together (T-POISON-PAYLOAD, T-OVERSIZE, X15, X16, X26, R32)."""

from __future__ import annotations

import json
from typing import Any

import grpc
import orjson
import pytest
from grpc import StatusCode as S

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import events_pb2 as events
from limpet.contracts import trigger_pb2 as triggers

from .house import House, Worker, sentences, task

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIGGER, TRIGGER_RUN = "/WorkflowService/TriggerWorkflow", "/v1.AdminService/TriggerWorkflowRun"
COMPLETED, FAILED, STARTED = wire.STEP_EVENT_TYPE_COMPLETED, wire.STEP_EVENT_TYPE_FAILED, wire.STEP_EVENT_TYPE_STARTED
MEBIBYTE = 1024 * 1024
PAYLOAD_MAX = 3 * MEBIBYTE

POISON: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{nonsense", "is not valid JSON"),
    "two values": (b"{} {}", "is not valid JSON"),
    "not UTF-8": (b'{"a": "\xff\xfe"}', "is not valid JSON"),
    "a raw NUL": (b'{"a": "\x00"}', "is not valid JSON"),
    "an escaped NUL": (b'{"a": "\\u0000"}', "contains a NUL character"),
    "a NUL in a key": (b'{"\\u0000": 1}', "contains a NUL character"),
    "a lone surrogate": (b'{"a": "\\ud800"}', "is not valid JSON"),
    "NaN": (b'{"a": NaN}', "is not valid JSON"),
    "Infinity": (b'{"a": -Infinity}', "is not valid JSON"),
    "10,000 levels": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "is not valid JSON"),
    "an array": (b"[1, 2]", "must be a JSON object, got an array"),
    "a text": (b'"text"', "must be a JSON object, got a string"),
    "a number": (b"7", "must be a JSON object, got a number"),
}
NULL = {"null": (b"null", "must be a JSON object, got null")}
STRANGE_BUT_FINE = {
    "a huge integer": b'{"a": ' + b"9" * 300 + b"}",
    "a key twice": b'{"a": 1, "a": 2}',
    "a key of a megabyte": b'{"' + b"k" * MEBIBYTE + b'": 1}',
    "1,000 levels": b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    "a backslash before u0000": b'{"a": "\\\\u0000"}',
}


def object_of(size: int) -> bytes:
    """A JSON object of exactly that many bytes."""
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


@pytest.mark.parametrize("case", POISON | NULL)
async def test_X16_poison_as_input_or_metadata_is_refused_by_name(house: House, case: str) -> None:
    poison, says = (POISON | NULL)[case]
    name, before = await house.workflow(house.name("good")), await house.run_count()
    for path, message, what in (
        (TRIGGER, triggers.TriggerWorkflowRequest(name=name, input=poison), "input"),
        (TRIGGER, triggers.TriggerWorkflowRequest(name=name, additional_metadata=poison), "additional metadata"),
        (TRIGGER_RUN, admin.TriggerWorkflowRunRequest(workflow_name=name, input=poison), "input"),
        (TRIGGER_RUN, admin.TriggerWorkflowRunRequest(workflow_name=name, additional_metadata=poison), "additional metadata"),
    ):
        code, heard = await house.status(path, message)
        assert code is S.INVALID_ARGUMENT
        assert heard.startswith(what)
        assert says in heard
    assert await house.run_count() == before


@pytest.mark.parametrize("case", STRANGE_BUT_FINE)
async def test_D10_strange_but_valid_payloads_travel_byte_for_byte(house: House, case: str) -> None:
    payload = STRANGE_BUT_FINE[case]
    name = await house.workflow(house.name("good"))
    worker = await house.worker(name)
    run_id = await house.trigger(name, input=payload)
    start = await worker.start()
    assert (
        payload in start.action_payload if isinstance(start.action_payload, bytes) else payload.decode() in start.action_payload
    )
    await worker.report(start, COMPLETED, payload)
    details = await house.details(run_id)
    assert details.input == payload
    assert details.task_runs[name].output == payload
    shown = await house.rest("GET", f"/stable/workflow-runs/{run_id}")
    assert shown.status_code == 200
    await worker.leave()


@pytest.mark.parametrize("case", POISON)
async def test_R32_poison_as_an_outcome_is_answered_OK_and_fails_its_task_at_once(house: House, case: str) -> None:
    poison, says = POISON[case]
    name = await house.workflow(house.name("good"), task("good", retries=3))
    worker = await house.worker("good")
    run_id = await house.trigger(name)
    start = await worker.start()
    await worker.report(start, COMPLETED, poison)
    (failed,) = (await house.details(run_id)).task_runs.values()
    assert failed.status == admin.RunStatus.FAILED, "not retried, though retries are left"
    assert failed.error.startswith("The task ended well, but its output cannot be stored: the output")
    assert says in failed.error
    await worker.leave()


async def test_R32_null_and_nothing_are_no_output(house: House) -> None:
    name = await house.workflow(house.name("good"))
    worker = await house.worker(name)
    for payload in (b"", b"null"):
        run_id = await house.trigger(name)
        await worker.report(await worker.start(), COMPLETED, payload)
        details = await house.details(run_id)
        assert details.status == admin.RunStatus.COMPLETED
        assert details.task_runs[name].output == b""
    await worker.leave()


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (b"", "The task failed without a message."),
        (b"bad \x00 byte", "bad ? byte"),
        (b"broken \xff\xfe text", "broken \ufffd\ufffd text"),
        (b"\xed\xa0\x80 surrogate", "surrogate"),
        (b"[1, 2]", "[1, 2]"),
        (b"null", "null"),
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"x" * MEBIBYTE + b" the last line", "the last line"),
    ],
)
async def test_X15_any_error_text_is_kept_as_text_within_its_bound(house: House, error: bytes, kept: str) -> None:
    name = await house.workflow(house.name("good"))
    worker = await house.worker(name)
    run_id = await house.trigger(name)
    start = await worker.start()
    await worker.report(start, FAILED, error)
    (failed,) = (await house.details(run_id)).task_runs.values()
    assert kept in failed.error
    assert len(failed.error.encode()) <= 64 * 1024
    shown = (await house.rest("GET", f"/stable/tasks/{start.task_run_external_id}")).json()
    assert kept in shown["errorMessage"]
    await worker.leave()


async def test_X16_poison_in_log_lines_and_chunks(house: House) -> None:
    name = await house.workflow(house.name("good"))
    worker = await house.worker(name)
    await house.trigger(name)
    start = await worker.start()
    about: dict[str, Any] = {"task_run_external_id": start.task_run_external_id}
    for message in (b"a\x00b", b"\xff\xfe", b"\x1b[2J", b"x" * 10_000):
        await house.call("/EventsService/PutLog", events.PutLogRequest(message=message, **about))
    unfit: list[tuple[dict[str, Any], str]] = [
        ({"message": b""}, "1 to 10000 characters, got 0"),
        ({"message": b"x" * 10_001}, "1 to 10000 characters, got 10001"),
        ({"message": b"fine", "metadata": b"[1]"}, "log metadata must be a JSON object, got an array"),
        ({"message": b"fine", "metadata": b"null"}, "log metadata must be a JSON object, got null"),
        ({"message": b"fine", "metadata": b'{"a": NaN}'}, "log metadata is not valid JSON"),
        ({"message": b"fine", "metadata": object_of(64 * 1024 + 1)}, "log metadata has 65537 bytes; at most 65536"),
    ]
    for fields, says in unfit:
        code, heard = await house.status("/EventsService/PutLog", events.PutLogRequest(**about, **fields))
        assert code is S.INVALID_ARGUMENT
        assert says in heard
    code, heard = await house.status("/EventsService/PutStreamEvent", events.PutStreamEventRequest(message=b"\xff", **about))
    assert (code, heard) == (S.INVALID_ARGUMENT, "a stream chunk must be UTF-8 text: followers receive it as text")
    await house.engine.write_logs.flushed()
    lines = (await house.rest("GET", f"/stable/tasks/{start.task_run_external_id}/logs")).json()["rows"]
    assert {line["message"][:8] for line in lines} == {"a\ufffdb", "\ufffd\ufffd", "\x1b[2J", "xxxxxxxx"}
    await worker.report(start, COMPLETED)
    await worker.leave()


async def test_T_OVERSIZE_inputs_at_the_bound(house: House) -> None:
    name = await house.workflow(house.name("good"))
    worker = await house.worker(name)
    for size in (PAYLOAD_MAX - 1, PAYLOAD_MAX):
        run_id = await house.trigger(name, input=object_of(size))
        start = await worker.start()
        assert len(start.action_payload) > size
        await worker.report(start, COMPLETED, object_of(size))
        details = await house.details(run_id)
        assert details.done
        assert len(details.input) == size, "the input is told whole; the output is left out with a note"
    code, says = await house.status(TRIGGER, triggers.TriggerWorkflowRequest(name=name, input=object_of(PAYLOAD_MAX + 1)))
    assert code is S.INVALID_ARGUMENT
    assert says == "input has 3145729 bytes; at most 3145728; store it elsewhere and pass a reference"
    by_rest = await house.trigger_by_rest(
        b'{"workflowName": "' + name.encode() + b'", "input": ' + object_of(PAYLOAD_MAX + 1) + b"}"
    )
    assert by_rest.status_code == 400
    assert "input has 3145729 bytes; at most 3145728" in sentences(by_rest)
    await worker.leave()


async def test_T_OVERSIZE_outputs_at_the_bound(house: House) -> None:
    name = await house.workflow(house.name("good"), task("good", retries=2))
    worker = await house.worker("good")
    for size, status in ((PAYLOAD_MAX, admin.RunStatus.COMPLETED), (PAYLOAD_MAX + 1, admin.RunStatus.FAILED)):
        run_id = await house.trigger(name)
        await worker.report(await worker.start(), COMPLETED, object_of(size))
        (ended,) = (await house.details(run_id)).task_runs.values()
        assert ended.status == status
    assert "the output has 3145729 bytes; at most 3145728" in ended.error
    await worker.leave()


async def test_T_OVERSIZE_messages_beyond_four_mebibytes_also_after_gzip(house: House) -> None:
    name, before = await house.workflow(house.name("good")), await house.run_count()
    for size in (5 * MEBIBYTE, 64 * MEBIBYTE):
        message = triggers.TriggerWorkflowRequest(name=name, input=object_of(size))
        code, says = await house.status(TRIGGER, message)
        assert code is S.RESOURCE_EXHAUSTED
        assert "larger than max" in says
        async with house.dial(compression=grpc.Compression.Gzip) as zipping:
            code, says = await house.status(TRIGGER, message, channel=zipping)
        assert code is S.RESOURCE_EXHAUSTED, "a bomb of some kilobytes is measured as what it becomes"
    big = b'{"workflowName": "' + name.encode() + b'", "input": ' + object_of(5 * MEBIBYTE) + b"}"
    answer = await house.trigger_by_rest(big)
    assert answer.status_code == 413
    assert "larger than 4194304 bytes" in sentences(answer)
    assert await house.run_count() == before


async def run_parents(house: House, worker: Worker, sizes: dict[str, int]) -> None:
    """Complete each parent with an output of its size."""
    for _ in sizes:
        start = await worker.start()
        await worker.report(start, COMPLETED, object_of(sizes[start.task_name]))


async def test_X26_outputs_that_fit_no_message_together_fail_the_child_and_are_named(house: House) -> None:
    sizes = {"red": 2 * MEBIBYTE, "green": 2 * MEBIBYTE, "blue": 1000}
    child = task("child", parents=list(sizes), retries=3)
    name = await house.workflow("wide", *(task(parent) for parent in sizes), child)
    worker = await house.worker(*sizes, "child")
    run_id = await house.trigger(name)
    await run_parents(house, worker, sizes)
    event = await result_of(house, run_id)
    (failed,) = [each for each in event.results if each.task_name == "child"]
    assert "together exceed the message limit of 4194304 bytes" in failed.error
    for parent, size in sizes.items():
        assert f"{parent} {size} bytes" in failed.error
    details = await house.details(run_id)
    assert details.status == admin.RunStatus.FAILED, "not retried: the next attempt would be as large"
    await worker.leave()


async def test_X26_results_that_fit_no_message_are_left_out_with_a_note(house: House) -> None:
    names = [f"t{n}" for n in range(5)]
    sizes = dict.fromkeys(names, 2 * MEBIBYTE) | {"t4": 100}
    name = await house.workflow("heavy", *map(task, names))
    worker = await house.worker(*names)
    run_id = await house.trigger(name)
    waiting = house.open("/Dispatcher/SubscribeToWorkflowRuns", wire.SubscribeToWorkflowRunsRequest(workflow_run_id=run_id))
    await waiting.initial_metadata()
    await run_parents(house, worker, sizes)
    for event in (await waiting.read(), await result_of(house, run_id)):
        assert event.ByteSize() <= 4 * MEBIBYTE
        results = {each.task_name: each for each in event.results}
        assert len(results["t4"].output) == 100, "the largest are left out first"
        told = [one for one in results.values() if one.HasField("error")]
        assert len(told) == 3
        assert sum(len(one.output) == 2 * MEBIBYTE for one in results.values()) == 1
        for one in told:
            assert not one.HasField("output")
            assert f"The output of task {one.task_name} (2097152 bytes) was left out" in one.error
            place = "/api/v1/stable/tasks/" + one.task_run_external_id
            assert one.error.endswith(f"read it with GET {place}.")
            whole = (await house.http.get(place, headers={"authorization": f"Bearer {house.mine}"})).json()
            assert len(json.dumps(whole["output"], separators=(",", ":"))) == 2 * MEBIBYTE
    details = await house.details(run_id)
    assert details.status == admin.RunStatus.COMPLETED, "the status told stays what it was"
    await worker.leave()


async def result_of(house: House, run_id: str) -> wire.WorkflowRunEvent:
    """The run's result, from a subscription of its own."""
    stream = house.open("/Dispatcher/SubscribeToWorkflowRuns", wire.SubscribeToWorkflowRunsRequest(workflow_run_id=run_id))
    event = await stream.read()
    assert isinstance(event, wire.WorkflowRunEvent)
    return event


@pytest.mark.parametrize("levels", [260, 600, 1_000])
async def test_X15_metadata_and_input_that_nest_deeply_break_nothing_afterwards(house: House, levels: int) -> None:
    deep = b'{"a":' * (levels - 1) + b"1" + b"}" * (levels - 1)
    metadata = b'{"m":"%d","traceparent":"x","deep":%s}' % (levels, deep)
    name = await house.workflow(house.name("deep"))
    run_id = await house.trigger(name, input=deep, additional_metadata=metadata)
    row = next(row for row in await listed(house) if row["metadata"]["id"] == run_id)
    assert row["additionalMetadata"]["traceparent"].endswith("-01")
    assert [row["metadata"]["id"] for row in await listed(house, f"additional_metadata=m:{levels}")] == [run_id]
    assert await listed(house, "additional_metadata=deep:x") == []
    assert (await house.rest("GET", f"/stable/workflow-runs/{run_id}")).status_code == 200
    line = events.PutLogRequest(task_run_external_id=run_id, message=b"a line", metadata=deep)
    await house.call("/EventsService/PutLog", line)
    await house.engine.write_logs.flushed()
    logs = await house.rest("GET", f"/stable/tasks/{run_id}/logs")
    assert (logs.status_code, deep in logs.content) == (200, True)
    assert (await house.rest("POST", "/stable/tenants/{tenant}/tasks/cancel", {"externalIds": [run_id]})).status_code == 200


@pytest.mark.parametrize("levels", [260, 600, 1_000])
async def test_X15_expressions_on_what_nests_deeply_fail_with_a_sentence(house: House, levels: int) -> None:
    deep = b'{"a":' * levels + b"1" + b"}" * levels
    limit = admin.Concurrency(expression="'key'", max_runs=1, limit_strategy=admin.ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN)
    name = await house.workflow(house.name("limited"), concurrency_arr=[limit], event_triggers=[f"deep:{levels}"])
    for metadata in ("{}", '{"hatchet__event_id":"x"}'):
        request = events.PushEventRequest(key=f"deep:{levels}", payload=deep.decode(), additional_metadata=metadata)
        await house.call("/EventsService/Push", request)
    metadata = f'{{"hatchet__a":1,"deep":{deep.decode()}}}'
    evil = events.PushEventRequest(key=f"deep:{levels}", payload="{}", additional_metadata=metadata)
    code, text = await house.status("/EventsService/Push", evil)
    assert (code, "nests too deeply" in text) == (S.INVALID_ARGUMENT, True)
    run_id = await house.trigger(name, input=deep)
    details = await house.details(run_id)
    (task_run,) = details.task_runs.values()
    assert (
        task_run.error
        == "failed to parse step expression ('key'): input nests deeper than 200 levels, which no expression looks into"
    )


async def listed(house: House, query: str = "") -> list[dict[str, Any]]:
    """Runs, newest first."""
    path = f"/stable/tenants/{{tenant}}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&limit=1000&{query}"
    answer = await house.rest("GET", path)
    assert answer.status_code == 200, answer.text
    return list(orjson.loads(answer.content)["rows"])  # which nests deeper than Python's own parser goes
