"""Reads who imports whom in `src/limpet`, from the text alone: nothing is run, so lazy imports are seen too."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = "limpet"
FREE_FOR_ALL = frozenset({"limpet._version"})  # a number without a room


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the module that says it, the line, and the module it means."""

    importer: str
    line: int
    target: str


@dataclass(frozen=True, slots=True)
class Law:
    """What a room may import beyond itself. `beyond` are module prefixes; `because` is the sentence people read."""

    room: str
    beyond: tuple[str, ...]
    because: str

    def allows(self, target: str) -> bool:
        allowed = (f"{PACKAGE}.{self.room}", *self.beyond, *FREE_FOR_ALL)
        return any(target == prefix or target.startswith(prefix + ".") for prefix in allowed)


def modules(source: Path = SOURCE) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((source / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(known: Mapping[str, Path]) -> list[Import]:
    """Every import of one of our own modules, wherever in the file it stands."""
    return [found for name, path in known.items() for found in imports_of(name, path, known)]


def imports_of(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[Import]:
    """What one file imports of the known modules; relative imports are read as absolute ones."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        for target in targets(node, package):
            meant = nearest(target, known)
            if meant is not None and meant != name:
                yield Import(name, getattr(node, "lineno", 0), meant)


def targets(node: ast.AST, package: str) -> list[str]:
    """Dotted names that an import statement may mean; `from a import b` may mean the module a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, base] if base else above)
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def nearest(target: str, known: Mapping[str, Path]) -> str | None:
    """The known module that a dotted name means: itself, or the module that the name lives in."""
    while target:
        if target in known:
            return target
        target = target.rpartition(".")[0]
    return None


def foreign(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of everything that a file imports and that is not ours."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        for target in targets(node, ""):
            if nearest(target, {PACKAGE: path, "__future__": path}) is None:
                found.append((getattr(node, "lineno", 0), target))  # noqa: PERF401  two loops in a row read better
    return found


def cycle(graph: Mapping[str, set[str]]) -> list[str] | None:
    """The first cycle found in a graph of names, as a path that ends where it began; None when there is none."""
    finished: set[str] = set()
    for start in sorted(graph):
        path: list[str] = []
        found = _walk(start, graph, path, finished)
        if found:
            return found
    return None


def _walk(name: str, graph: Mapping[str, set[str]], path: list[str], finished: set[str]) -> list[str] | None:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in finished:
        return None
    path.append(name)
    for target in sorted(graph.get(name, ())):
        found = _walk(target, graph, path, finished)
        if found:
            return found
    path.pop()
    finished.add(name)
    return None
