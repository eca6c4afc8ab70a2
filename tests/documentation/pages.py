"""The pages as data: their code blocks with what stands behind the language, their tables, their links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GUIDE = sorted((DOCS / "guide").glob("*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block. `kind`: the words behind the fence, as in "python run"; `line`: of its first line of code."""

    page: Path
    line: int
    kind: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All code blocks, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 2, found.group(1).strip(), found.group(2))
        for found in BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def rows(page: Path, heading: str) -> Iterator[list[str]]:
    """The cells of the first table below a heading, without the table's head; code marks are stripped."""
    _, found, rest = page.read_text(encoding="utf-8").partition(f"\n{heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    lines = iter(rest.splitlines())
    table = list(_first_table(lines))
    for line in table[2:]:
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        yield [cell.strip().strip("`").replace("\\|", "|") for cell in cells]


def _first_table(lines: Iterator[str]) -> Iterator[str]:
    began = False
    for line in lines:
        if line.startswith("|"):
            began = True
            yield line
        elif began or line.startswith("#"):
            return


def anchors(page: Path) -> set[str]:
    """What `page.md#…` can point to, as GitHub derives it from headings."""
    headings = HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shown_name(page: Path) -> str:
    """The page's path for people."""
    return str(page.relative_to(ROOT))
