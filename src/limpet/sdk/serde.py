"""Between Python values and JSON: inputs, outputs, and the mark that user serialisers may ask for (W2.4 to W2.9)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from limpet.sdk.exceptions import IllegalTaskOutputError

T = TypeVar("T")
K = TypeVar("K")

JSONSerializableMapping = Mapping[str, Any]

SERIALIZATION_MARK = "limpet_serialization"
SERIALIZATION_CONTEXT: dict[str, Any] = {SERIALIZATION_MARK: True}

_ESCAPED_NUL = b"\\u0000"


class EmptyModel(BaseModel):
    """The input of a task that declares none. Keeps whatever fields it is given."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", frozen=True)


def is_in_hatchet_serialization_context(context: Any) -> bool:
    """Whether a pydantic validator or serialiser is being driven by this package.

    context: `info.context` of the validator or serialiser
    """
    return isinstance(context, Mapping) and bool(context.get(SERIALIZATION_MARK))


def remove_null_unicode_character(data: T, replacement: str = "") -> T:
    """A copy of dicts, lists, tuples and texts without NUL characters, which outputs must not contain."""
    if isinstance(data, str):
        return cast(T, data.replace("\u0000", replacement))
    if isinstance(data, dict):
        clean = remove_null_unicode_character
        return cast(T, {clean(key, replacement): clean(value, replacement) for key, value in data.items()})
    if isinstance(data, list | tuple):
        return cast(T, type(data)(remove_null_unicode_character(item, replacement) for item in data))
    return data


def dump_input(value: Any, adapter: TypeAdapter[Any]) -> str:
    """The JSON object text of a run's input. None is an empty object. Raises ValueError for anything else."""
    if value is None:
        return "{}"
    text = _dump(value, adapter).decode()
    if not text.startswith("{"):
        raise ValueError(f"The input is a {type(value).__name__}, but must be a model, a dataclass or a dict.")
    return text


def load_input(value: Any, adapter: TypeAdapter[T]) -> T:
    """The declared input type, made from parsed JSON. Raises pydantic's ValidationError."""
    return adapter.validate_python(value, context=SERIALIZATION_CONTEXT)


def dump_output(value: Any, adapter: TypeAdapter[Any], *, task_name: str) -> str:
    """The JSON text of a task's output, empty for None and for an empty object (W2.7, W2.8)."""
    if value is None or (isinstance(value, dict) and not value):
        return ""
    if not isinstance(value, dict | BaseModel) and not (is_dataclass(value) and not isinstance(value, type)):
        raise IllegalTaskOutputError(
            f"Task {task_name!r} returned a {type(value).__name__}. Return a dict, a pydantic model, a dataclass or None."
        )
    data = _dump(value, adapter)
    if _has_nul(data):
        raise IllegalTaskOutputError(
            f"The output of task {task_name!r} contains a NUL character, which cannot be stored. "
            "remove_null_unicode_character() takes it out."
        )
    return "" if data == b"{}" else data.decode()


def load_output(value: Any, adapter: TypeAdapter[T]) -> T:
    """The declared output type, made from parsed JSON. An absent output is an empty object, or None where declared."""
    if value is not None:
        return adapter.validate_python(value, context=SERIALIZATION_CONTEXT)
    try:
        return adapter.validate_python({}, context=SERIALIZATION_CONTEXT)
    except ValidationError:
        with suppress(ValidationError):
            return adapter.validate_python(None, context=SERIALIZATION_CONTEXT)
        raise


def parse_object(text: str | bytes | None) -> dict[str, Any]:
    """A JSON object, or an empty one when there is no text or it holds something else."""
    if not text:
        return {}
    value = json.loads(text)
    return value if isinstance(value, dict) else {}


def _dump(value: Any, adapter: TypeAdapter[Any]) -> bytes:
    return _adapter_for(value, adapter).dump_json(value, context=SERIALIZATION_CONTEXT, warnings=False)


def _adapter_for(value: Any, adapter: TypeAdapter[Any]) -> TypeAdapter[Any]:
    """The declared type's adapter, unless the value is a model of quite another type."""
    declared = getattr(adapter, "_type", None)
    if isinstance(value, BaseModel) and not (isinstance(declared, type) and isinstance(value, declared)):
        return TypeAdapter(type(value))
    return adapter


def _has_nul(data: bytes) -> bool:
    """Whether the JSON text holds an unescaped NUL escape; an escaped backslash before `u0000` is just text."""
    if _ESCAPED_NUL not in data:
        return False
    return _ESCAPED_NUL in data.replace(b"\\\\", b"")
