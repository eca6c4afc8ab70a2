"""What a worker shows on the terminal when its program has set up no logging.

Law: a program that has set up logging of its own sees no line twice and no format changed.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PACKAGE = "limpet"


class ConsoleLines(logging.Formatter):
    """The clock, the level, the sentence; as the engine's own lines look."""

    def format(self, record: logging.LogRecord) -> str:
        mine = copy.copy(record)  # other handlers get the record as it was
        mine.levelname = record.levelname.lower()
        return super().format(mine)


@contextmanager
def lines_on_console() -> Iterator[None]:
    """Lines of this package go to standard error, from INFO up, unless somebody handles them already."""
    package = logging.getLogger(PACKAGE)
    if package.hasHandlers():
        yield
        return
    handler, level = logging.StreamHandler(sys.stderr), package.level
    handler.setFormatter(ConsoleLines("%(asctime)s %(levelname)-8s%(message)s", "%H:%M:%S"))
    package.addHandler(handler)
    package.setLevel(level or logging.INFO)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
