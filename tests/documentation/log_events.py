"""The engine's log events, read from its source: every call of a logger with `extra={"event": …}`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.documentation.pages import ROOT

SOURCE = ROOT / "src" / "limpet"
LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR", "exception": "ERROR", "critical": "CRITICAL"}
LOGGERS = {"log", "_log", "logger"}
CLIENT_ROOMS = {"sdk", "cli", "contracts", "testing"}  # they log for a terminal, not for an operator's collector


@dataclass(frozen=True, slots=True, order=True)
class LogEvent:
    """One kind of line. `fields`: what comes along beside the event's name."""

    name: str
    level: str
    fields: tuple[str, ...]


def log_events() -> set[LogEvent]:
    """All events of the engine, its stores and its edges."""
    files = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in CLIENT_ROOMS]
    return {event for path in files for event in events_of(ast.parse(path.read_text(encoding="utf-8")), path)}


def events_of(tree: ast.Module, path: Path) -> Iterator[LogEvent]:
    """The events of one module. A line without an event's name is a mistake and asserts."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _is_log_call(call):
            assert isinstance(call.func, ast.Attribute)
            extra = next((word.value for word in call.keywords if word.arg == "extra"), None)
            assert extra is not None, f"{path.name}:{call.lineno} logs without an event's name"
            name, fields = _resolved(extra, tree)
            yield LogEvent(name, LEVELS[call.func.attr], fields)


def _is_log_call(call: ast.Call) -> bool:
    target = call.func
    return (
        isinstance(target, ast.Attribute)
        and target.attr in LEVELS
        and isinstance(target.value, ast.Name)
        and target.value.id in LOGGERS
    )


def _resolved(extra: ast.expr, tree: ast.Module) -> tuple[str, tuple[str, ...]]:
    """The event's name and the other keys of an `extra`: a dict, a constant of the module, or a function that makes one."""
    if isinstance(extra, ast.Name):
        return _resolved(_constant(extra.id, tree), tree)
    if isinstance(extra, ast.Call):
        assert isinstance(extra.func, ast.Name)
        names = [arg.value for arg in extra.args if isinstance(arg, ast.Constant)]
        return str(names[0]), _keys(_returned(extra.func.id, tree))
    assert isinstance(extra, ast.Dict), ast.unparse(extra)
    event = next(v for k, v in zip(extra.keys, extra.values, strict=True) if isinstance(k, ast.Constant) and k.value == "event")
    assert isinstance(event, ast.Constant)
    return str(event.value), _keys(extra)


def _keys(found: ast.Dict) -> tuple[str, ...]:
    return tuple(sorted(str(key.value) for key in found.keys if isinstance(key, ast.Constant) and key.value != "event"))


def _constant(name: str, tree: ast.Module) -> ast.expr:
    return next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    )


def _returned(name: str, tree: ast.Module) -> ast.Dict:
    function = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name)
    found = next(node.value for node in ast.walk(function) if isinstance(node, ast.Return))
    assert isinstance(found, ast.Dict)
    return found
