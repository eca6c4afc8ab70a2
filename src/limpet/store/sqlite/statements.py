"""The SQL of this store, from the files in `queries/`.

A file holds statements like this one, and nothing is ever put into their text but other statements of these files:

    -- name: run_key_by_id
    -- A run by its outside id.
    SELECT key FROM runs WHERE ...

`{name}` in a statement stands for the statement of that name. `{source}` is left open for `with_source`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

OPEN = "source"
_HEAD = re.compile(r"^-- name: (\w+)\n-- (.+)\n", re.MULTILINE)
_PART = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its name, the sentence that says what for, and its text."""

    name: str
    sentence: str
    text: str


def statement(name: str) -> str:
    """The text of a statement, its parts filled in."""
    return _texts()[name]


@cache
def with_source(name: str, source: str) -> str:
    """The text of a statement that reads from the named source."""
    return _texts()[name].replace("{" + OPEN + "}", _texts()[source])


@cache
def statements() -> dict[str, Statement]:
    """All statements as they are written, by name."""
    found: dict[str, Statement] = {}
    folder = resources.files(__package__) / "queries"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        for one in parse(file.read_text("utf-8")):
            assert one.name not in found, f"two statements are called {one.name}"
            found[one.name] = one
    return found


def parse(text: str) -> list[Statement]:
    """The statements of one file."""
    pieces = _HEAD.split(text)[1:]
    return [
        Statement(name, sentence, body.strip().removesuffix(";"))
        for name, sentence, body in zip(pieces[0::3], pieces[1::3], pieces[2::3], strict=True)
    ]


@cache
def _texts() -> dict[str, str]:
    return {name: _filled(one.text) for name, one in statements().items()}


def _filled(text: str) -> str:
    return _PART.sub(lambda part: part[0] if part[1] == OPEN else _filled(statements()[part[1]].text), text)
