"""How answers look: a table or a sentence for people, JSON for programs. Standard output carries the answer alone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from limpet.core.ids import SECOND_US

JsonObject = Mapping[str, Any]
NOTHING = "-"  # a cell without a value; an empty cell looks like a mistake
IDENTITY = re.compile(r"-|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FOLDED_WIDTH_MIN = 10  # characters: a date, or half of a name; narrower columns are hard to read
GAP = 2  # blanks between columns
TABLE_WIDTH_PIPED = 200  # columns when nobody looks: wide enough for two UUIDs and a name, so that grep finds whole ids


def print_json(value: object) -> None:
    """One JSON document. Indented on a terminal, one line otherwise."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False, default=str) + "\n")


def print_line(text: str = "") -> None:
    """A line of the answer."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_done(facts: object, sentence: str, *, json: bool) -> None:
    """What has happened: facts for programs, else a sentence."""
    if json:
        print_json(facts)
    else:
        print_line(sentence)


def print_note(text: str) -> None:
    """A line beside the answer; programs that read standard output do not see it."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows under their headings; `empty` is the sentence for none. Cells are text: no markup in them is obeyed.

    A column in which no row has a value is left out. Ids are never folded, however narrow the terminal: they are there
    to be copied.
    """
    if not rows:
        print_line(empty)
        return
    from rich.console import Console
    from rich.text import Text

    filled = filled_columns(columns, rows)
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH_PIPED)
    widths = fitted_widths(filled, console.width)
    console.width = max(console.width, sum(widths) + GAP * (len(widths) - 1))
    table = new_table([column for column, _ in filled], widths)
    for texts in zip(*(cells for _, cells in filled), strict=True):
        table.add_row(*map(Text, texts))
    with console.capture() as drawn:
        console.print(table)
    print_line("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def filled_columns(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[tuple[str, Sequence[str]]]:
    """Heading and cells of each column in which some row has a value."""
    texts = zip(*([cell_text(cell) for cell in row] for row in rows), strict=True)
    return [(heading, cells) for heading, cells in zip(columns, texts, strict=True) if any(cell != NOTHING for cell in cells)]


def new_table(columns: Sequence[str], widths: Sequence[int]) -> Any:
    """An empty table in the one style: headings over a line, nothing else drawn."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, overflow="fold", width=width)
    return table


def fitted_widths(columns: Sequence[tuple[str, Sequence[str]]], room: int) -> list[int]:
    """A width for each column: as wide as its texts, the widest narrowed until all fit, but ids stay whole.

    Where even that does not fit, the table is wider than the room; the terminal folds it, and nothing is lost.
    """
    from rich.cells import cell_len

    natural = [max(map(cell_len, (heading, *cells))) for heading, cells in columns]
    ids = [all(IDENTITY.fullmatch(cell) for cell in cells) for _, cells in columns]
    least = [width if is_id else min(width, FOLDED_WIDTH_MIN) for width, is_id in zip(natural, ids, strict=True)]
    widths = [max(floor, min(width, room)) for width, floor in zip(natural, least, strict=True)]
    while sum(widths) + GAP * (len(widths) - 1) > room and widths != least:
        widest = max((each for each in range(len(widths)) if widths[each] > least[each]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def cell_text(value: object) -> str:
    """A value in a table; nothing is a dash."""
    return NOTHING if value is None or value == "" else printable(str(value))


def printable(text: str) -> str:
    """A text whose control characters are shown, not sent to the terminal."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def moment(value: str | None, precision: str = "seconds") -> str:
    """An ISO instant as the reader's clock shows it, to the second or as `datetime.isoformat` names it."""
    if not value:
        return NOTHING
    return parse_instant(value).astimezone().replace(tzinfo=None).isoformat(" ", precision)


def iso(microseconds: int | None) -> str | None:
    """An instant of the store in ISO form, to the second."""
    return None if microseconds is None else datetime.fromtimestamp(microseconds // SECOND_US, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
