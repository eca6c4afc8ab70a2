"""Draws the pages that are made from code, so that they cannot say anything else than it does. Run by `make docs`.

docs/limits.md          every setting and every named limit of src/limpet: name, default, and its own sentence
docs/lifecycle.md       the states of a task run, from the transition table of core/lifecycle.py
docs/reference/cli.md   every command with its help
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
SILENT_ROOMS = ("contracts", "compat")  # generated, or names of others
NAMED_LIMIT = re.compile(
    r"^[A-Z][A-Z0-9_]*_(MAX|MIN|S|MS|US|DAYS|BYTES|PER_SECOND|LENGTH|DEFAULT|FIRST|SOONEST|PORT)$|^(DEFAULT|BACKLOG)\w*$"
)
UNITS_US = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"), (1, "us"))
UNITS_BYTES = ((1024 * 1024, "MiB"), (1024, "KiB"), (1, "bytes"))

SETTINGS_INTRODUCTION = """# Limits and settings

Everything in Limpet that could grow has a bound, and every bound has a name and a reason. This page is drawn from the
code by `make docs`; a test fails when the two differ. Letters and numbers in brackets are rules of the specification.

Settings can be changed for an engine process: `limpet server --set worker_lost_after=45s`, the variable `LIMPET_SET`,
or `set = ["worker_lost_after=45s"]` in `limpet.toml`. Spans are written with their unit, without the `_us` of the name.
"""
LIFECYCLE_INTRODUCTION = """# Lifecycle of a task run

Drawn by `make docs` from the one table in `core/lifecycle.py`; a pair that is not in it is a bug and asserts. People and the
API see five states: PENDING, QUEUED and BACKING_OFF read as QUEUED, ASSIGNED and RUNNING as RUNNING, SKIPPED as COMPLETED.
"""
CLI_INTRODUCTION = """# Command line

Every command prints text for people and, with `--json`, one document for programs. Exit codes: 0 done, 1 it failed,
2 the command line is wrong, 3 no such thing, 4 the engine cannot be reached. A value comes from the flag, else from the
variable named beside it, else from `limpet.toml` (a table per command, `[all]` for what several share), else the default. The
singular of a command means the same: `limpet cron list`.
"""
LIMITS_INTRODUCTION = """## Named limits

These are constants: they follow from a protocol, a library or a measurement, and changing one means changing its reason.
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of the page."""

    name: str
    value: object
    sentence: str

    @property
    def row(self) -> str:
        return f"| `{self.name}` | {shown(self.name, self.value)} | {self.sentence.replace('|', chr(92) + '|')} |"


def shown(name: str, value: object) -> str:
    """A default in the unit that its name tells."""
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"`{value}`"
    lower = name.lower()
    if lower.endswith("_us") and isinstance(value, int):
        return in_units(value, UNITS_US)
    if "bytes" in lower and isinstance(value, int):
        return in_units(value, UNITS_BYTES)
    suffix = {"_s": " s", "_ms": " ms", "_days": " days", "_per_second": " a second"}
    return next((f"{value:,}{text}" for end, text in suffix.items() if lower.endswith(end)), f"{value:,}")


def in_units(value: int, units: tuple[tuple[int, str], ...]) -> str:
    """A number in the largest unit that leaves no fraction."""
    factor, unit = next(((factor, unit) for factor, unit in units if value and value % factor == 0), units[-1])
    return f"{value // factor:,} {unit}"


def comments(path: Path) -> dict[int, tuple[str, bool]]:
    """By line: the comment's text, and whether it stands alone on its line."""
    with path.open("rb") as file:
        return {
            token.start[0]: (token.string.lstrip("# ").strip(), token.line.strip().startswith("#"))
            for token in tokenize.tokenize(file.readline)
            if token.type == tokenize.COMMENT and not token.string.startswith(("# type:", "# noqa"))
        }


def sentence_of(node: ast.stmt, said: dict[int, tuple[str, bool]]) -> str:
    """The comment behind a statement, else the block of comments right above it."""
    for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
        if line in said:
            return said[line][0]
    above: list[str] = []
    line = node.lineno - 1
    while line in said and said[line][1]:
        above.insert(0, said[line][0])
        line -= 1
    return " ".join(above)


def assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Names that are given a value, with the statement."""
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node


def module_of(path: Path) -> str:
    """The dotted name of a file below src."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def setting_classes(path: Path) -> Iterator[tuple[str, list[Limit]]]:
    """Each settings class of a file: its name and its fields."""
    said = comments(path)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
            defaults = getattr(import_module(module_of(path)), node.name)()
            fields = [(name, statement, getattr(defaults, name)) for name, statement in assigned(node.body)]
            yield (
                node.name,
                [Limit(name, value, sentence_of(statement, said)) for name, statement, value in fields if is_value(value)],
            )


def is_value(value: object) -> bool:
    """Whether this is a number or a choice, not a nested group of settings."""
    return isinstance(value, int | float | str | Enum)


def limits_of(path: Path) -> list[Limit]:
    """The named limits of a file: constants of its own that are numbers and whose names tell a bound."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [(name, node) for name, node in assigned(tree.body) if NAMED_LIMIT.match(name)]
    if not names:
        return []
    module, said = import_module(module_of(path)), comments(path)
    found = [Limit(name, getattr(module, name), sentence_of(node, said)) for name, node in names]
    return [limit for limit in found if isinstance(limit.value, int | float) and not isinstance(limit.value, bool | Enum)]


def source_files() -> list[Path]:
    """Every file that may hold a limit, in a steady order."""
    return [
        path
        for path in sorted((SOURCE / "limpet").rglob("*.py"))
        if path.relative_to(SOURCE / "limpet").parts[0] not in SILENT_ROOMS
    ]


def table(limits: list[Limit]) -> str:
    """Rows under their headings."""
    return "\n".join(["| Name | Default | Why |", "|---|---|---|", *(limit.row for limit in limits)]) + "\n"


def draw_limits() -> str:
    """The page docs/limits.md."""
    parts = [SETTINGS_INTRODUCTION]
    for room, title in (("core", "Rules"), ("engine", "Engine process")):
        for _, limits in setting_classes(SOURCE / "limpet" / room / "settings.py"):
            parts.append(f"## {title}\n\n{table(limits)}")
    parts.append(LIMITS_INTRODUCTION)
    for path in source_files():
        limits = limits_of(path)
        if limits:
            parts.append(f"### `{module_of(path)}`\n\n{table(limits)}")
    return "\n".join(parts)


def draw_commands() -> str:
    """The page docs/reference/cli.md."""
    from limpet.cli.main import COMMANDS, load

    parts = [CLI_INTRODUCTION]
    for name in COMMANDS:
        command = load(name)
        verbs = getattr(command, "commands", {})
        parts.append(f"## limpet {name}\n\n{help_block(command, f'limpet {name}')}")
        parts.extend(f"### limpet {name} {verb}\n\n{help_block(found, f'limpet {name} {verb}')}" for verb, found in verbs.items())
    return "\n".join(parts)


def help_block(command: Any, path: str) -> str:
    """What `--help` prints, as a block."""
    context = command.context_class(command, info_name=path, terminal_width=110, max_content_width=110)
    lines = [line.rstrip() for line in command.get_help(context).splitlines()]
    return "```text\n" + "\n".join(lines).strip() + "\n```\n"


def draw_lifecycle() -> str:
    """The page docs/lifecycle.md."""
    from limpet.core.lifecycle import TASK_RUN

    arrows: dict[tuple[str, str], list[str]] = {}
    for (status, cause), target in TASK_RUN.items():
        arrows.setdefault((status.name, target.name), []).append(str(cause.value))
    picture = "\n".join(f"    {source} --> {target}: {' / '.join(causes)}" for (source, target), causes in arrows.items())
    rows = [f"| {status.name} | {cause.value} | {target.name} |" for (status, cause), target in TASK_RUN.items()]
    listed = "\n".join(["| From | Because | To |", "|---|---|---|", *rows])
    return f"{LIFECYCLE_INTRODUCTION}\n```mermaid\nstateDiagram-v2\n{picture}\n```\n\n{listed}\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/limits.md": draw_limits,
    "docs/lifecycle.md": draw_lifecycle,
    "docs/reference/cli.md": draw_commands,
}


def main() -> None:
    """Write every page."""
    for name, draw in PAGES.items():
        (ROOT / name).write_text(draw(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
