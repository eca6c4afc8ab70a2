"""T-POISON-PROTO: random bytes and mutated messages on every method; clean codes, no crash, no flood in the log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from grpc import StatusCode as S

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts.methods import METHODS, Method

from .house import House, task

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = 20_260_731
MESSAGES_PER_METHOD = 100
MORE_MESSAGES_PER_METHOD = 1_000  # by name
DEPTH_MAX = 4
OPEN_FOR_S = 0.1  # a stream that was let in is left after this
CLEAN = {
    S.OK, S.INVALID_ARGUMENT, S.NOT_FOUND, S.FAILED_PRECONDITION, S.RESOURCE_EXHAUSTED, S.UNIMPLEMENTED,
    S.CANCELLED,  # by us, see OPEN_FOR_S
}  # fmt: skip
NUMBERS = (0, 1, -1, 2, 3, 4, 5, 9, 100, 2**31 - 1, -(2**31))
TEXTS = (
    "",
    "a",
    "x" * 300,
    "é\u202e\x1b[31m",
    "a\0b",
    "../../etc/passwd",
    "' OR 1=1 --",
    "1h",
    "-1s",
    "9" * 40 + "h",
    "{}",
    "[]",
)
OBJECTS = (b"", b"{}", b'{"a": 1}', b"null", b"[1]", b"\xff", b'{"a": "\\u0000"}', b'{"a": NaN}', b"{" * 2000, b"x" * 5000)


class Mutator:
    """Messages that look like real ones, and are not quite. `known`: ids and names that exist, so that some get far."""

    def __init__(self, seed: int, known: Sequence[str]) -> None:
        self._chance = random.Random(seed)
        self._known = known

    def messages(self, method: Method, number: int) -> Iterator[bytes]:
        """Random bytes, filled messages, and filled messages with broken bytes."""
        for turn in range(number):
            match turn % 4:
                case 0:
                    yield self._chance.randbytes(self._chance.randrange(1, 200))
                case 1:
                    yield self._broken(self._filled(method.request).SerializeToString())
                case _:
                    yield self._filled(method.request).SerializeToString()

    def _broken(self, raw: bytes) -> bytes:
        """Some bytes turned, or the end cut off."""
        if not raw:
            return b"\xff"
        if self._chance.random() < 0.3:
            return raw[: self._chance.randrange(len(raw))]
        turned = bytearray(raw)
        for _ in range(self._chance.randrange(1, 6)):
            turned[self._chance.randrange(len(turned))] ^= 1 << self._chance.randrange(8)
        return bytes(turned)

    def _filled(self, kind: type[Message], depth: int = 0) -> Message:
        message = kind()
        self._fill(message, depth)
        return message

    def _fill(self, message: Message, depth: int) -> None:
        for field in message.DESCRIPTOR.fields:
            if self._chance.random() < 0.25 or depth > DEPTH_MAX:
                continue
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                self._fill_map(getattr(message, field.name), field, depth)
            elif field.is_repeated:
                self._fill_list(getattr(message, field.name), field, depth)
            elif field.message_type is not None:
                inner = getattr(message, field.name)
                inner.SetInParent()
                self._fill(inner, depth + 1)
            else:
                setattr(message, field.name, self._value(field))

    def _fill_list(self, values: Any, field: FieldDescriptor, depth: int) -> None:
        for _ in range(self._chance.randrange(2)):
            if field.message_type is not None:
                self._fill(values.add(), depth + 1)
            else:
                values.append(self._value(field))

    def _fill_map(self, values: Any, field: FieldDescriptor, depth: int) -> None:
        assert field.message_type is not None
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        for _ in range(self._chance.randrange(3)):
            if value.message_type is None:
                values[self._value(key)] = self._value(value)
            else:
                self._fill(values[self._value(key)], depth + 1)

    def _value(self, field: FieldDescriptor) -> Any:
        kinds = FieldDescriptor
        match field.type:
            case kinds.TYPE_STRING:
                return self._chance.choice((*TEXTS, *self._known, *self._known))
            case kinds.TYPE_BYTES:
                return self._chance.choice(OBJECTS)
            case kinds.TYPE_BOOL:
                return self._chance.random() < 0.5
            case kinds.TYPE_FLOAT | kinds.TYPE_DOUBLE:
                return self._chance.choice((0.0, 1.5, -1.0, float("nan"), float("inf"), 1e30))
            case kinds.TYPE_ENUM:
                return self._chance.choice((0, 1, 2, 3, 4, 5, 6, 99, -1))
            case kinds.TYPE_INT64:
                return self._chance.choice((*NUMBERS, 2**62, -(2**63), 253_402_300_800))
            case kinds.TYPE_UINT32 | kinds.TYPE_UINT64 | kinds.TYPE_FIXED64:
                return abs(self._chance.choice(NUMBERS))
            case _:
                return self._chance.choice(NUMBERS)


async def known_names(house: House) -> list[str]:
    """Ids and names that exist: a workflow, a worker, a run that waits, one that runs, one that ended."""
    name = await house.workflow(house.name("target"), task("first"), task("second", parents=["first"]))
    worker = await house.worker("first")
    running = await house.trigger(name)
    start = await worker.start()
    await worker.report(start, wire.STEP_EVENT_TYPE_STARTED)
    worker.stream.cancel()
    return [name, "first", worker.id, running, start.task_run_external_id, await house.trigger(name)]


async def ended(house: House, method: Method, raw: bytes) -> S:
    """The code of one call; a stream that stays open is left."""
    call = house.open(method.path, raw)
    if method.server_streams:
        asyncio.get_running_loop().call_later(OPEN_FOR_S, call.cancel)
    try:
        if method.server_streams:
            async for _ in call:
                pass
        else:
            await call
    except asyncio.CancelledError:
        return S.CANCELLED
    except grpc.aio.AioRpcError as error:
        return error.code()
    return await call.code()  # type: ignore[no-any-return]


async def attack(house: House, seed: int, number: int) -> dict[str, set[S]]:
    """Every method with that many messages; the codes that were seen by path."""
    mutator = Mutator(seed, await known_names(house))
    seen: dict[str, set[S]] = {}
    for method in METHODS:
        messages = list(mutator.messages(method, number))
        for start in range(0, len(messages), 50):
            codes = await asyncio.gather(*(ended(house, method, raw) for raw in messages[start : start + 50]))
            seen.setdefault(method.path, set()).update(codes)
    return seen


async def test_T_POISON_PROTO_every_method_answers_nonsense_with_a_clean_code(house: House) -> None:
    seen = await attack(house, SEED, MESSAGES_PER_METHOD)
    assert {path: codes - CLEAN for path, codes in seen.items() if codes - CLEAN} == {}
    assert len(seen) == len(METHODS)
    carried_out = [path for path, codes in seen.items() if codes != {S.UNIMPLEMENTED} and S.UNIMPLEMENTED not in codes]
    assert len(carried_out) >= 15
    assert sum(S.OK in codes for codes in seen.values()) >= 5, "some messages get far"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_T_POISON_PROTO_for_longer(house: House, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    seen = await attack(house, seed, MORE_MESSAGES_PER_METHOD)
    assert {path: codes - CLEAN for path, codes in seen.items() if codes - CLEAN} == {}
    caplog.clear()  # warnings about features that are declared at random


async def test_an_engine_that_met_nonsense_comes_back_from_its_file(house: House, tmp_path: Any) -> None:
    """What was stored on the way can be loaded again: no poison pill waits in the file."""
    async with House(tmp_path) as first:
        await attack(first, SEED + 1, 12)
        runs = await first.run_count()
    async with House(tmp_path) as again:
        assert await again.run_count() == runs
        await again.is_alive()
        await again.engine.self_check.round()
        assert await again.counted("limpet_invariant_failures_total") == 0
