"""How answers look: a table or a sentence for people, JSON for programs. Standard output carries the answer alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

JsonObject = Mapping[str, Any]
NOTHING = "-"  # a cell without a value; an empty cell looks like a mistake
TABLE_WIDTH_PIPED = 200  # columns when nobody looks: wide enough for two UUIDs and a name, so that grep finds whole ids


def print_json(value: object) -> None:
    """One JSON document. Indented on a terminal, one line otherwise."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False, default=str) + "\n")


def print_line(text: str = "") -> None:
    """A line of the answer."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_note(text: str) -> None:
    """A line beside the answer; programs that read standard output do not see it."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows under their headings; `empty` is the sentence for none. Cells are text: no markup in them is obeyed."""
    if not rows:
        print_line(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell_text(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else TABLE_WIDTH_PIPED).print(table)


def cell_text(value: object) -> str:
    """A value in a table: nothing is a dash, control characters are shown, not sent to the terminal."""
    if value is None or value == "":
        return NOTHING
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))


def moment(value: str | None) -> str:
    """An ISO instant as the reader's clock shows it."""
    if not value:
        return NOTHING
    return parse_instant(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def parse_instant(value: str) -> datetime:
    """An ISO instant; without an offset it is UTC, as everything the engine says."""
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def span(milliseconds: int | None) -> str:
    """A duration in the unit that fits."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1_000:.1f} s"
    minutes, seconds = divmod(milliseconds // 1_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def pairs(values: Mapping[str, object] | None) -> str:
    """`key=value` joined by spaces."""
    return " ".join(f"{key}={value}" for key, value in (values or {}).items()) or NOTHING
