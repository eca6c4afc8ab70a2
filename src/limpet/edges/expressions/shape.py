"""What an expression consists of: read from its compiled form, so that its cost is known before it ever runs (X15).

The library hands out `cel.expr.CheckedExpr` as bytes. Its numbers of fields are read here without the message's
definition, which would be one more dependency: 3 const, 5 select, 6 call, 7 list, 8 struct, 9 comprehension.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

from limpet.edges.expressions.errors import ExpressionError

NODES_MAX = 1_000
LOOPS_DEEP_MAX = 1  # a loop inside a loop multiplies; the library's step budget counts only their sum
PATTERN_BYTES_MAX = 1_024

_CHECKED_EXPR, _CONST, _SELECT, _CALL, _LIST, _STRUCT, _COMPREHENSION = 4, 3, 5, 6, 7, 8, 9
_CHILDREN = {_SELECT: (1,), _LIST: (1,), _COMPREHENSION: (2,)}
_LOOP_BODY = (4, 5, 6, 7)  # accumulator, condition, step, result
_GROWING = {"replace": 1, "join": 0}  # functions that may give more than they took, and which argument says how much


@dataclass(slots=True)
class Shape:
    """Counts of an expression.

    growth: by how much its texts may be longer than those of its input, a factor
    """

    nodes: int = 0
    has_loop: bool = False
    splits: bool = False
    growth: int = 1


def shape_of(serialized: bytes) -> Shape:
    """Walk the compiled form. Raises ExpressionError for what is too large, or nested too deeply."""
    shape = Shape()
    for root in _parts(AnyMessage.FromString(serialized).value, _CHECKED_EXPR):
        _walk(root, shape, 0)
    return shape


def _walk(expr: bytes, shape: Shape, loops: int) -> None:
    shape.nodes += 1
    if shape.nodes > NODES_MAX:
        raise ExpressionError(f"the expression has more than {NODES_MAX} parts")
    for number, data in _fields(expr):
        if number == _CALL:
            _walk_call(data, shape, loops)
        elif number == _COMPREHENSION:
            _walk_loop(data, shape, loops)
        elif number == _STRUCT:
            for entry in _parts(data, 2):
                _walk_all(_parts(entry, 3, 4), shape, loops)
        elif number in _CHILDREN:
            _walk_all(_parts(data, *_CHILDREN[number]), shape, loops)


def _walk_all(parts: Iterator[bytes], shape: Shape, loops: int) -> None:
    for part in parts:
        _walk(part, shape, loops)


def _walk_loop(loop: bytes, shape: Shape, loops: int) -> None:
    if loops >= LOOPS_DEEP_MAX:
        raise ExpressionError("a loop (all, exists, map, filter) may not stand inside another one")
    shape.has_loop = True
    _walk_all(_parts(loop, *_CHILDREN[_COMPREHENSION]), shape, loops)
    _walk_all(_parts(loop, *_LOOP_BODY), shape, loops + 1)


def _walk_call(call: bytes, shape: Shape, loops: int) -> None:
    name = next((data.decode() for data in _parts(call, 2)), "")
    arguments = list(_parts(call, 3))
    if name == "matches":
        _check_pattern(arguments)
    elif name in _GROWING:
        shape.growth *= 1 + _growth(name, arguments)
    elif name == "split":
        shape.splits = True
    _walk_all(_parts(call, 1), shape, loops)
    _walk_all(iter(arguments), shape, loops)


def _check_pattern(arguments: list[bytes]) -> None:
    pattern = _constant(arguments[-1]) if arguments else None
    if pattern is None or len(pattern) > PATTERN_BYTES_MAX:
        raise ExpressionError(f"the pattern of matches() must be a text in quotes of at most {PATTERN_BYTES_MAX} bytes")


def _growth(name: str, arguments: list[bytes]) -> int:
    """How many bytes stand for each one of the input, at most."""
    place = _GROWING[name]
    if place >= len(arguments):
        return 0
    text = _constant(arguments[place])
    if text is None:
        raise ExpressionError(f"what {name}() puts in must be a text in quotes, because it may make a text much longer")
    return len(text)


def _constant(expr: bytes) -> bytes | None:
    """The text constant that the expression is; None: it is something else."""
    return next((text for const in _parts(expr, _CONST) for text in _parts(const, 6)), None)


def _parts(message: bytes, *numbers: int) -> Iterator[bytes]:
    """The nested messages and texts under these field numbers."""
    return (data for number, data in _fields(message) if number in numbers)


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    fields = cast("Iterable[Any]", UnknownFieldSet(Empty.FromString(message)))  # its stubs lack the iteration
    return [(field.field_number, field.data) for field in fields if isinstance(field.data, bytes)]
