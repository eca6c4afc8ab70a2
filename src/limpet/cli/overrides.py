"""`--set name=value`: settings of the engine by name, with the units that people write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from enum import Enum
from typing import Any, TypeVar

from limpet.cli.durations import milliseconds
from limpet.cli.exits import Misuse
from limpet.core.settings import Settings
from limpet.engine.settings import EngineSettings

MICROSECONDS = 1_000  # in a millisecond

S = TypeVar("S", Settings, EngineSettings)


def overridden(settings: EngineSettings, texts: Sequence[str]) -> EngineSettings:
    """The settings with each `name=value` applied, the last one winning. Raises Misuse."""
    rules, engine = names_of(settings.core), names_of(settings)
    for text in texts:
        name, value = split(text)
        if name in rules:
            settings = replace(settings, core=changed(settings.core, rules[name], value))
        elif name in engine:
            settings = changed(settings, engine[name], value)
        else:
            raise Misuse(f"There is no setting {name}.", suggestion(name, [*rules, *engine]))
    return settings


def changed(settings: S, field: str, value: str) -> S:
    """A copy with one field changed."""
    return replace(settings, **{field: parsed(field, value, getattr(settings, field), is_span=field.endswith("_us"))})


def names_of(settings: Settings | EngineSettings) -> dict[str, str]:
    """Field by the name people write: a span's unit is in its value, not in its name."""
    plain = [field.name for field in fields(settings) if field.name != "core"]
    return {name.removesuffix("_us"): name for name in plain} | {name: name for name in plain}


def split(text: str) -> tuple[str, str]:
    """Name and value; dashes and underscores are the same."""
    name, sign, value = text.partition("=")
    if not sign:
        raise Misuse(f"'{text}' is no setting.", "Write name=value, for example --set worker_lost_after=45s")
    return name.strip().replace("-", "_"), value.strip()


def parsed(name: str, value: str, default: object, *, is_span: bool) -> Any:
    """The value in the type of the default."""
    try:
        if isinstance(default, Enum):
            return type(default)(value)
        if isinstance(default, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        if value.isdecimal() and (value == "0" or not is_span):
            return int(value)
    except (KeyError, ValueError) as error:
        choices = [str(choice.value) for choice in type(default)] if isinstance(default, Enum) else ["true", "false"]
        raise Misuse(f"{name} cannot be '{value}'.", f"Write one of {', '.join(choices)}.") from error
    if not is_span:
        raise Misuse(f"{name} cannot be '{value}'.", "Write a whole number.")
    return milliseconds(value) * MICROSECONDS


def suggestion(name: str, known: Sequence[str]) -> str:
    """The next step after a wrong name."""
    close = get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}? All names: docs/limits.md" if close else "All names: docs/limits.md"
