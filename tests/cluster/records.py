"""What a running stage writes down: the journal of workers and callers, and the servers' logs. Another process cannot signal
this one, so files are looked at every few milliseconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

LOOKS_EVERY_S = 0.02
Line = dict[str, Any]
Found = TypeVar("Found")


class Lines:
    """A file of JSON lines that grows; what is no JSON object, such as a note for people, is passed over."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._rest = path, 0, b""
        self._lines: list[Line] = []

    def all(self) -> list[Line]:
        """Everything so far."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                grown = file.read()
            self._read += len(grown)
            *whole, self._rest = (self._rest + grown).split(b"\n")
            self._lines += [json.loads(line) for line in whole if line.startswith(b"{")]
        return self._lines

    def since(self, mark: int) -> list[Line]:
        """Those behind the first `mark` ones."""
        return self.all()[mark:]

    @property
    def mark(self) -> int:
        """How many there are now."""
        return len(self.all())


async def until(what: str, holds: Callable[[], Found], within_s: float) -> Found:
    """Return what the condition returned once that is true. Raises AssertionError when the bound passes first."""
    try:
        async with asyncio.timeout(within_s):
            while not (found := holds()):  # noqa: ASYNC110  # a file has no event
                await asyncio.sleep(LOOKS_EVERY_S)
    except TimeoutError:
        raise AssertionError(f"waited {within_s:g} s in vain until {what}") from None
    return found
