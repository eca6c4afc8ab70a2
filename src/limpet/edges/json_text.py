"""Strict JSON from outside (X16): checked once at the edge, kept as it came, never written anew (design D10).

Refused: NaN and Infinity, NUL characters, lone surrogates, bytes that are not UTF-8, nesting beyond 1024 levels.
Not refused: duplicate keys and large integers; a scanner of our own would cost more than the rest of a task.
"""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec
import orjson

from limpet.core.errors import InvalidArgument

EMPTY_OBJECT = b"{}"
# `\u0000` that is not itself escaped: an even number of backslashes before it. The look-behind starts at the first.
_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_object(text: bytes, what: str, bytes_max: int) -> bytes:
    """The text itself if it is a JSON object within the bound; an empty text is an empty object.

    Raises InvalidArgument: a sentence that begins with `what`.
    """
    if not text:
        return EMPTY_OBJECT
    check_size(text, what, bytes_max)
    if not isinstance(parse(text, what), dict):
        raise InvalidArgument(f"{what} must be a JSON object, got {_kind(text)}")
    return text


def check_size(text: bytes, what: str, bytes_max: int) -> None:
    """Raises InvalidArgument above the bound."""
    if len(text) > bytes_max:
        raise InvalidArgument(f"{what} has {len(text)} bytes; at most {bytes_max}; store it elsewhere and pass a reference")


def parse(text: bytes, what: str) -> object:
    """The decoded value. Raises InvalidArgument for anything that is not strict JSON."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"{what} is not valid JSON: {error}") from None
    if b"\\u0000" in text and _NUL_ESCAPE.search(text):
        raise InvalidArgument(f"{what} contains a NUL character (\\u0000), which cannot be stored")
    return value


def quoted(text: str) -> bytes:
    """The text as a JSON string."""
    return orjson.dumps(text)


def with_members(object_text: bytes, members: dict[str, str]) -> bytes:
    """A checked object's text with text members set; spliced in unless one of the keys may stand there already."""
    if not members:
        return object_text
    if any(key.encode() in object_text for key in members):
        with suppress(RecursionError):  # what nests too deeply gets a second member of the name: the last one counts
            decoded: dict[str, object] = dict(_members.decode(object_text))  # the others' text stays: a number keeps its digits
            decoded.update(members)
            return msgspec.json.encode(decoded)
    head = object_text.rstrip()[:-1].rstrip()
    return head + (b"" if head.endswith(b"{") else b",") + orjson.dumps(members)[1:]


def _kind(text: bytes) -> str:
    first = text.lstrip()[:1]
    return {b"[": "an array", b'"': "a string", b"n": "null", b"t": "true", b"f": "false"}.get(first, "a number")
