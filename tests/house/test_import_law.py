"""Who may import whom, in words. The house stands on it: rules stay pure, stores stay equal, edges stay thin."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from import_law import Law, cycle, foreign, imports, modules

LAWS = (
    Law("core", (), "the rules are plain functions over plain values and know no other room"),
    Law("contracts", (), "it is generated from proto/ and knows only itself"),
    Law("store", ("limpet.core",), "a store knows rows, not rules: it imports core and nothing else of ours"),
    Law("engine", ("limpet.core", "limpet.store.api"), "the loop holds core and *a* store; streams are handed in"),
    Law(
        "edges",
        ("limpet.core", "limpet.engine.door", "limpet.store.api", "limpet.contracts"),
        "an edge translates and submits; of the engine it knows the door, of a store the types",
    ),
    Law("sdk", ("limpet.contracts",), "a worker runs without an engine in its process: the SDK knows only the contracts"),
    Law("compat", ("limpet.sdk", "limpet.contracts"), "it only gives SDK names their other import paths"),
)
COMPOSERS = ("cli", "testing")  # these hold everything in one hand
OF_THE_WORLD = {
    "asyncio": "awaits",
    "datetime": "has a clock",
    "logging": "writes",
    "multiprocessing": "starts processes",
    "os": "is the machine",
    "pathlib": "is the file system",
    "random": "is chance",
    "secrets": "is chance",
    "selectors": "is I/O",
    "socket": "is I/O",
    "sqlite3": "is a store",
    "subprocess": "starts processes",
    "tempfile": "is the file system",
    "threading": "starts threads",
    "time": "is a clock",
    "uuid.uuid1": "is chance",
    "uuid.uuid4": "is chance",
}
# Arithmetic of the calendar over instants that are handed in; the test below reads that no clock is asked.
CALENDARS = ("limpet.core.cron_time", "limpet.core.rate_windows")  # they may use `datetime`, which has a clock too
CLOCKS = frozenset({"now", "today", "utcnow", "fromtimestamp"})

KNOWN = modules()
IMPORTS = imports(KNOWN)


def room_of(module: str) -> str:
    """The room of a module: the first name below the package; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.room)
def test_a_room_imports_only_what_its_law_allows(law: Law) -> None:
    broken = [
        f"{found.importer}:{found.line} imports {found.target}; but {law.room} may not: {law.because}"
        for found in IMPORTS
        if room_of(found.importer) == law.room and not law.allows(found.target)
    ]
    assert not broken, "\n".join(broken)


def test_only_the_command_line_composes_and_nobody_imports_it() -> None:
    broken = [
        f"{found.importer}:{found.line} imports {found.target}; nobody stands above the composing rooms"
        for found in IMPORTS
        if room_of(found.target) in COMPOSERS and room_of(found.importer) not in COMPOSERS
    ]
    assert not broken, "\n".join(broken)


def test_what_stands_beside_the_rooms_brings_the_sdk_and_no_engine() -> None:
    ruled = {law.room for law in LAWS} | set(COMPOSERS)
    broken = [
        f"{found.importer}:{found.line} imports {found.target}; what stands beside the rooms only re-exports the SDK"
        for found in IMPORTS
        if room_of(found.importer) not in ruled and room_of(found.target) in ruled - {"sdk", "compat"}
    ]
    assert not broken, "\n".join(broken)


def test_generated_contracts_reach_only_those_who_speak_on_the_wire() -> None:
    readers = ("edges", "sdk", "compat", "contracts", *COMPOSERS)
    broken = [
        f"{found.importer}:{found.line} imports {found.target}; wire messages are translated at the edges"
        for found in IMPORTS
        if room_of(found.target) == "contracts" and room_of(found.importer) not in readers
    ]
    assert not broken, "\n".join(broken)


def test_the_core_knows_no_clock_no_chance_and_no_io() -> None:
    broken = [
        f"{name}:{line} imports {target}, which {OF_THE_WORLD[world]}; hand it in as an argument"
        for name, path in KNOWN.items()
        if room_of(name) == "core"
        for line, target in foreign(path)
        for world in OF_THE_WORLD
        if (target == world or target.startswith(world + ".")) and not (world == "datetime" and name in CALENDARS)
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("module", CALENDARS)
def test_the_calendar_of_the_core_asks_no_clock(module: str) -> None:
    tree = ast.parse(KNOWN[module].read_text(encoding="utf-8"))
    asked = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & CLOCKS
    assert not asked


def test_there_are_no_cycles_also_not_lazily() -> None:
    graph: dict[str, set[str]] = {}
    for found in IMPORTS:
        graph.setdefault(found.importer, set()).add(found.target)
    found_cycle = cycle(graph)
    assert found_cycle is None, f"these need each other, so the thing between them wants a name: {' -> '.join(found_cycle or [])}"


def test_the_reader_sees_lazy_relative_and_plain_imports(tmp_path: Path) -> None:
    package = tmp_path / "limpet"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "core" / "__init__.py").write_text("")
    (package / "core" / "a.py").write_text("import limpet.core.b\ndef late():\n    from . import c\n")
    (package / "core" / "b.py").write_text("from .c import thing\n")
    (package / "core" / "c.py").write_text("if False:\n    from limpet.core.a import other\n")
    seen = {(found.importer, found.target) for found in imports(modules(tmp_path))}
    assert seen == {
        ("limpet.core.a", "limpet.core.b"),
        ("limpet.core.a", "limpet.core.c"),
        ("limpet.core.b", "limpet.core.c"),
        ("limpet.core.c", "limpet.core.a"),
    }
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_a_law_tells_a_room_from_one_with_a_longer_name() -> None:
    law = Law("store", ("limpet.core",), "")
    assert law.allows("limpet.core.ids")
    assert not law.allows("limpet.corelike")
    assert not law.allows("limpet.engine.door")
