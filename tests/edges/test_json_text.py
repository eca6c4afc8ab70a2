"""Strict JSON at the edges (X16, T-POISON-PAYLOAD)."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limpet.core.errors import InvalidArgument
from limpet.core.metadata_text import text_of
from limpet.edges import json_text

MIB = 1024 * 1024

POISON = {
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "NUL escape": b'{"a":"x\\u0000y"}',
    "NUL escape in a key": b'{"\\u0000":1}',
    "NUL escape behind an escaped backslash": b'{"a":"\\\\\\u0000"}',
    "raw NUL": b'{"a":"\x00"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "lone surrogate as bytes": b'{"a":"\xed\xa0\x80"}',
    "not UTF-8": b'{"a":"\xff"}',
    "deeper than 1024": b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "integer beyond a double": b'{"a":' + b"9" * 400 + b"}",
    "float beyond a double": b'{"a":1e999}',
    "cut off": b'{"a":',
    "two values": b"{}{}",
    "null": b"null",
    "array": b"[1]",
    "text": b'"x"',
    "number": b"1",
    "blank": b" ",
    "single quotes": b"{'a':1}",
}


@pytest.mark.parametrize("text", POISON.values(), ids=POISON.keys())
def test_X16_poison_is_refused_with_a_sentence(text: bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"^input "):
        json_text.check_object(text, "input", 3 * MIB)


@pytest.mark.parametrize(
    "text",
    [b"{}", b' {"a" : 1}\n', b'{"a":1,"a":2}', b'{"a":' + b"9" * 300 + b"}", b'{"a":"\\ud83d\\ude00"}', b'{"a":"\\\\u0000"}'],
    ids=["empty", "spaces", "duplicate key", "huge integer", "surrogate pair", "escaped backslash, no NUL"],
)
def test_X16_what_the_parser_takes_comes_back_unchanged(text: bytes) -> None:
    assert json_text.check_object(text, "input", 3 * MIB) is text


def test_an_empty_text_is_an_empty_object() -> None:
    assert json_text.check_object(b"", "input", 10) == b"{}"


DEEP = [b'{"a":' * levels + b"1" + b"}" * levels for levels in (200, 260, 600, 1_000)]


@pytest.mark.parametrize("deep", DEEP, ids=len)
def test_X15_members_are_set_however_deep_the_others_are(deep: bytes) -> None:
    text = json_text.check_object(b'{"trace":1,"b":' + deep + b"}", "input", MIB)
    spliced = json_text.with_members(text, {"trace": "x"})
    assert orjson.loads(spliced)["trace"] == "x"
    assert deep in spliced


@pytest.mark.parametrize("deep", DEEP, ids=len)
def test_W9_4_what_nests_too_deeply_to_be_written_is_a_text_that_nobody_asks_for(deep: bytes) -> None:
    assert text_of(orjson.loads(deep)) == (deep.decode() if len(deep) < 1_300 else "")


@pytest.mark.parametrize(("extra", "fits"), [(-1, True), (0, True), (1, False)])
def test_X15_the_bound_is_inclusive(extra: int, fits: bool) -> None:
    text = b'{"a":"' + b"x" * (3 * MIB + extra - 8) + b'"}'
    if fits:
        assert json_text.check_object(text, "input", 3 * MIB) is text
    else:
        with pytest.raises(InvalidArgument, match=rf"input has {3 * MIB + 1} bytes; at most {3 * MIB}"):
            json_text.check_object(text, "input", 3 * MIB)


def test_a_key_of_a_megabyte_is_only_large() -> None:
    text = b'{"' + b"k" * MIB + b'":1}'
    assert json_text.check_object(text, "input", 3 * MIB) is text


@example({"0p": -(1 << 63) - 1}, {"p": ""})
@given(st.dictionaries(st.text(), st.integers() | st.text()), st.dictionaries(st.sampled_from(["p", "q"]), st.text(), min_size=1))
def test_members_are_set_whatever_stood_there(values: dict[str, object], members: dict[str, str]) -> None:
    spliced = json_text.with_members(json.dumps(values, indent=1).encode(), members)
    assert json.loads(spliced) == {**values, **members}


@pytest.mark.parametrize(("value", "text"), [("x", "x"), (5, "5"), (True, "true"), (None, "null"), ([1], "[1]")])
def test_W9_4_values_compare_as_text(value: object, text: str) -> None:
    assert text_of(value) == text
