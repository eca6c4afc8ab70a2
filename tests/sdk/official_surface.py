"""The public names and parameters of the installed official package, as `inspect` shows them: a black box."""

from __future__ import annotations

import importlib
import inspect
import warnings
from types import ModuleType
from typing import Any


def official(path: str = "") -> Any:
    """A module of the official package, imported without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"hatchet_sdk.{path}" if path else "hatchet_sdk")


def names_of(module: ModuleType) -> set[str]:
    """What `module` lists and really has."""
    return {name for name in module.__all__ if hasattr(module, name)}


def members_of(cls: type) -> dict[str, tuple[str, ...] | None]:
    """Public members of a class: parameter names of a function, None for anything else."""
    found: dict[str, tuple[str, ...] | None] = {}
    for name in dir(cls):
        if name.startswith("_"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            member = inspect.getattr_static(cls, name)
            if isinstance(member, classmethod | staticmethod):
                member = member.__func__
        found[name] = parameters_of(member) if inspect.isfunction(member) else None
    return found


def parameters_of(function: Any) -> tuple[str, ...]:
    """Parameter names without the receiver."""
    return tuple(name for name in inspect.signature(function).parameters if name not in ("self", "cls"))
