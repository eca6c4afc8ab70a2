"""The SQL of a store, from the files in its `queries/` and `migrations/`.

A file of queries holds statements like this one, and nothing is ever put into their text but other statements of the
same store:

    -- name: run_key_by_id
    -- A run by its outside id.
    SELECT key FROM runs WHERE ...

`{name}` in a statement stands for the statement of that name. `{source}` is left open for `with_source`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

OPEN = "source"
_HEAD = re.compile(r"^-- name: (\w+)\n-- (.+)\n", re.MULTILINE)
_PART = re.compile(r"\{([a-z]\w*)\}")
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")
_SERVES = re.compile(r"^-- serves: (\d{4})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its name, the sentence that says what for, and its text."""

    name: str
    sentence: str
    text: str


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from the schema with the number before to this one."""

    number: int
    name: str
    script: str

    @property
    def serves(self) -> int:
        """The oldest schema whose releases still work on this one: a line `-- serves: 0001` in the script, else its own."""
        found = _SERVES.search(self.script)
        return int(found[1]) if found else self.number


class Statements:
    """The statements of one store, by name."""

    def __init__(self, package: str) -> None:
        self._package = package

    def text(self, name: str) -> str:
        """The text of a statement, its parts filled in."""
        return self._texts[name]

    def with_source(self, name: str, source: str) -> str:
        """The text of a statement that reads from the named source."""
        return self._texts[name].replace("{" + OPEN + "}", self._texts[source])

    @cached_property
    def written(self) -> dict[str, Statement]:
        """All statements as they are written, by name."""
        found: dict[str, Statement] = {}
        folder = resources.files(self._package) / "queries"
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            for one in parse(file.read_text("utf-8")):
                assert one.name not in found, f"two statements are called {one.name}"
                found[one.name] = one
        return found

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {name: self._filled(one.text) for name, one in self.written.items()}

    def _filled(self, text: str) -> str:
        return _PART.sub(lambda part: part[0] if part[1] == OPEN else self._filled(self.written[part[1]].text), text)


def parse(text: str) -> list[Statement]:
    """The statements of one file."""
    pieces = _HEAD.split(text)[1:]
    return [
        Statement(name, sentence, body.strip().removesuffix(";"))
        for name, sentence, body in zip(pieces[0::3], pieces[1::3], pieces[2::3], strict=True)
    ]


@cache
def migrations(package: str, kind: str) -> tuple[Migration, ...]:
    """All steps of a store's package for `store` or `logs`, in order, numbered from 1 without gaps."""
    folder = resources.files(package) / "migrations" / kind
    files = sorted((file for file in folder.iterdir() if _MIGRATION.fullmatch(file.name)), key=lambda file: file.name)
    found = tuple(Migration(int(file.name[:4]), file.name, file.read_text("utf-8")) for file in files)
    assert [step.number for step in found] == list(range(1, len(found) + 1)), f"migrations of {kind} have gaps"
    return found
