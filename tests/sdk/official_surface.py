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
    """Public members of a class: how a function is called, None for anything else."""
    found: dict[str, tuple[str, ...] | None] = {}
    for name in dir(cls):
        if name.startswith("_"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            member = inspect.getattr_static(cls, name)
            if isinstance(member, classmethod | staticmethod):
                member = member.__func__
        found[name] = signature_of(member) if inspect.isfunction(member) else None
    return found


def signature_of(function: Any) -> tuple[str, ...]:
    """Whether it is awaited, then each parameter with its kind and default, without the receiver and without types."""
    parameters = inspect.signature(function).parameters.values()
    kind = "async" if inspect.iscoroutinefunction(inspect.unwrap(function)) else "plain"
    return (kind, *(described(each) for each in parameters if each.name not in ("self", "cls")))


def described(parameter: inspect.Parameter) -> str:
    """`POSITIONAL_OR_KEYWORD timeout=None`."""
    default = "" if parameter.default is inspect.Parameter.empty else f"={parameter.default!r}"
    return f"{parameter.kind.name} {parameter.name}{default}"
