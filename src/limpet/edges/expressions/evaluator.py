"""Compiling and evaluating. Four environments; an expression belongs to exactly one (F1.1).

Laws:
1. What an expression may cost is bounded before it runs: by its shape, and by its shape times its input (R3, X15).
2. Nothing here knows what a result is for.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any

from limpet.core.errors import NotSupported
from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.shape import Shape, shape_of
from limpet.edges.expressions.values import LEVELS_MAX, Values

EXPRESSION_BYTES_MAX = 4 * 1024
LOOP_STEPS_MAX = 10_000  # the library's own budget; it counts the rounds of all loops together
EXPRESSION_WORK_MAX = 128 * 1024 * 1024  # parts times rounds times bytes of input: some tenths of a second at the worst
COMPILED_MAX = 4_096  # expressions kept compiled; others are compiled again

MISSING = (
    "expressions need the package cel-expr-python, which the engine's environment lacks: install it there with "
    "`pip install 'limpet[cel]'`; it exists for Linux with glibc, macOS and Windows"
)
_WHERE = re.compile(r"ERROR: <input>:(\d+):(\d+): (?P<what>[^\n]*)")
_CODE = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_OBJECT, _TEXT, _TEXTS = "object", "text", "texts"


class Environment(Enum):
    """Where an expression stands, with the variables it may use (F1.1). The value: names with their kinds."""

    KEY = (("input", _OBJECT), ("additional_metadata", _OBJECT), ("workflow_run_id", _TEXT))
    FILTER = (
        ("input", _OBJECT),
        ("additional_metadata", _OBJECT),
        ("payload", _OBJECT),
        ("event_id", _TEXT),
        ("event_key", _TEXT),
    )
    WEBHOOK = (("input", _OBJECT), ("headers", _TEXTS))
    CONDITION = (("input", _OBJECT), ("output", _OBJECT))


class Compiled:
    """An expression that may be evaluated any number of times."""

    __slots__ = ("_program", "_shape", "text")

    def __init__(self, text: str, program: Any, shape: Shape) -> None:
        self.text: str = text
        self._program, self._shape = program, shape

    def evaluate(self, values: Values) -> object:
        """The result as a plain value. Raises ExpressionError."""
        if values.too_deep:
            raise ExpressionError(f"{values.too_deep} nests deeper than {LEVELS_MAX} levels, which no expression looks into")
        self._check_work(values)
        try:
            found = self._program.eval(data=values.variables)
        except RuntimeError as error:
            raise ExpressionError(_sentence(str(error))) from None
        if found.type() == _library().Type.ERROR:
            raise ExpressionError(_sentence(str(found.value())))
        return found.plain_value()

    def _check_work(self, values: Values) -> None:
        shape = self._shape
        rounds = max(1, shape.nodes, values.size if shape.splits else values.longest) if shape.has_loop else 1
        work = shape.nodes * shape.growth * min(rounds, LOOP_STEPS_MAX) * values.size
        if work > EXPRESSION_WORK_MAX:
            raise ExpressionError(
                f"the expression would do too much work on an input of {values.size} bytes; "
                f"read less of it, or pass a shorter input"
            )


def compile_expression(environment: Environment, text: str) -> Compiled:
    """Compile in that environment. Raises ExpressionError, and NotSupported where the library is missing."""
    if not text.strip():
        raise ExpressionError("it is empty")
    if len(text.encode()) > EXPRESSION_BYTES_MAX:
        raise ExpressionError(f"the expression has {len(text.encode())} bytes; at most {EXPRESSION_BYTES_MAX}")
    return _compile(environment, text)


def as_text(value: object) -> str:
    """The result where a text is wanted. Raises ExpressionError; a number is no text (F1.4)."""
    if not isinstance(value, str):
        raise ExpressionError(f"it must give a text, and gives {_kind(value)}; string(…) makes one")
    return value


def as_truth(value: object) -> bool:
    """The result where yes or no is wanted. Raises ExpressionError."""
    if not isinstance(value, bool):
        raise ExpressionError(f"it must give true or false, and gives {_kind(value)}")
    return value


def as_integer(value: object) -> int:
    """The result where a whole number is wanted; the fraction of a double is cut off (F1.4). Raises ExpressionError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"it must give a number, and gives {_kind(value)}")
    try:
        return int(value)
    except (OverflowError, ValueError):
        raise ExpressionError(f"it must give a whole number, and gives {value}") from None


@lru_cache(maxsize=COMPILED_MAX)
def _compile(environment: Environment, text: str) -> Compiled:
    try:
        program = _environment(environment).compile(text)
    except RuntimeError as error:
        raise ExpressionError(_sentence(str(error))) from None
    return Compiled(text, program, shape_of(program.serialize()))


@cache
def _library() -> Any:
    """The library, imported at the first expression. Raises NotSupported."""
    try:
        from cel_expr_python import cel
    except ImportError:
        raise NotSupported(MISSING) from None
    return cel


@cache
def _environment(environment: Environment) -> Any:
    cel = _library()
    types = {
        _OBJECT: cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
        _TEXT: cel.Type.STRING,
        _TEXTS: cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    }
    more: dict[str, Any] = {}
    if environment in (Environment.KEY, Environment.FILTER):  # F1.2
        from cel_expr_python.ext import ext_strings

        more["extensions"] = [ext_strings.ExtStrings()]
    if environment is Environment.KEY:
        more["functions"] = [_checksum(cel)]
    return cel.NewEnv(variables={name: types[kind] for name, kind in environment.value}, **more)


def _checksum(cel: Any) -> Any:
    """`checksum(text)` and `text.checksum()`: SHA-256 in hexadecimal (F1.3)."""
    text = cel.Type.STRING
    overloads = [
        cel.Overload("checksum_string", text, [text], is_member=False, impl=_hash),
        cel.Overload("string_checksum", text, [text], is_member=True, impl=_hash),
    ]
    return cel.FunctionDecl("checksum", overloads)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _sentence(text: str) -> str:
    """The library's words without its codes and drawings."""
    found = _WHERE.search(text)
    if found is not None and found[1] != "-1":
        return f"{_bare(found['what'])} (line {found[1]}, column {found[2]})"
    words = found["what"] if found is not None else text.partition("\n")[0]
    if "Iteration budget" in words:
        return f"it takes more than {LOOP_STEPS_MAX} rounds in loops"
    return _bare(words)


def _bare(words: str) -> str:
    return _CODE.sub("", words.strip())


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    names: dict[type, str] = {str: "a text", list: "a list", dict: "an object", type(None): "null"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), f"a {type(value).__name__}")
