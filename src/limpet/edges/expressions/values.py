"""JSON as expressions see it: every number is a double (F1.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

HUGE = float("inf")


@dataclass(slots=True)
class Values:
    """The variables of one evaluation.

    size:    bytes of the JSON they were read from
    longest: entries of the longest list or object in it, the bound of a loop
    """

    variables: dict[str, object] = field(default_factory=dict)
    size: int = 0
    longest: int = 0

    def add_json(self, name: str, text: bytes) -> None:
        """A variable from JSON bytes that an edge has checked."""
        self.size += len(text)
        self.variables[name] = self._read(orjson.loads(text))

    def add_text(self, name: str, text: str) -> None:
        """A variable that is a text."""
        self.size += len(text)
        self.variables[name] = text

    def add_texts(self, name: str, texts: dict[str, str]) -> None:
        """A variable that maps texts to texts."""
        self.size += sum(len(key) + len(text) for key, text in texts.items())
        self.longest = max(self.longest, len(texts))
        self.variables[name] = dict(texts)

    def _read(self, value: object) -> object:
        """JSON nests at most 1,024 levels deep (X15), and so does this."""
        if isinstance(value, dict):
            self.longest = max(self.longest, len(value))
            return {key: self._read(each) for key, each in value.items()}
        if isinstance(value, list):
            self.longest = max(self.longest, len(value))
            return [self._read(each) for each in value]
        return _double(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _double(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return HUGE if number > 0 else -HUGE
