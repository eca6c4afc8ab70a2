"""JSON as expressions see it: every number is a double (F1.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

HUGE = float("inf")
LEVELS_MAX = 200  # of nesting that expressions look into; each takes two frames of Python's stack here, which has a thousand


@dataclass(slots=True)
class Values:
    """The variables of one evaluation.

    size:    bytes of the JSON they were read from
    longest: entries of the longest list or object in it, the bound of a loop
    too_deep: the variable that nests too deeply to be looked into; "": none does
    """

    variables: dict[str, object] = field(default_factory=dict)
    size: int = 0
    longest: int = 0
    too_deep: str = ""

    def add_json(self, name: str, text: bytes) -> None:
        """A variable from JSON bytes that an edge has checked."""
        self.size += len(text)
        try:
            self.variables[name] = self._read(orjson.loads(text), LEVELS_MAX)
        except _TooDeep:
            self.too_deep = name

    def add_text(self, name: str, text: str) -> None:
        """A variable that is a text."""
        self.size += len(text)
        self.variables[name] = text

    def add_texts(self, name: str, texts: dict[str, str]) -> None:
        """A variable that maps texts to texts."""
        self.size += sum(len(key) + len(text) for key, text in texts.items())
        self.longest = max(self.longest, len(texts))
        self.variables[name] = dict(texts)

    def _read(self, value: object, levels: int) -> object:
        """Raises _TooDeep: JSON may nest 1,024 levels (X15), which is more than this can walk."""
        if not isinstance(value, dict | list):
            return _double(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not levels:
            raise _TooDeep
        self.longest = max(self.longest, len(value))
        if isinstance(value, dict):
            return {key: self._read(each, levels - 1) for key, each in value.items()}
        return [self._read(each, levels - 1) for each in value]


class _TooDeep(Exception):
    """A value nests deeper than LEVELS_MAX."""


def _double(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return HUGE if number > 0 else -HUGE
