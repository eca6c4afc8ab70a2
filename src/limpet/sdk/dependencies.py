"""Dependency injection: parameters annotated `Annotated[T, Depends(fn)]` (W18.2).

A dependency function takes the task's input and context, then perhaps further dependencies. It may be plain, async, a
context manager or an async context manager; context managers are left in reverse order after the task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
)
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import TypeAliasType

from limpet.sdk.exceptions import InvalidDependencyError

T = TypeVar("T")

_OWN_PARAMETERS = 2  # input and context


class Depends(Generic[T]):
    """Marks a parameter whose value a function supplies: `Annotated[Connection, Depends(connect)]`."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn


@dataclass(frozen=True, slots=True)
class Dependency:
    """One parameter to fill: its name, the function that supplies it, and that function's own dependencies."""

    parameter: str
    fn: Callable[..., Any]
    needs: tuple[Dependency, ...]

    @property
    def is_sync(self) -> bool:
        """Whether neither this dependency nor what it needs asks for an event loop."""
        inner = inspect.unwrap(self.fn)
        is_async = inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner) or hasattr(inner, "__aenter__")
        return not is_async and all(need.is_sync for need in self.needs)


def find_dependencies(fn: Callable[..., Any]) -> tuple[Dependency, ...]:
    """The dependencies of a task function. Raises InvalidDependencyError for a bad signature or a cycle."""
    return _dependencies_of(fn, ())


async def resolve(
    dependencies: tuple[Dependency, ...], given: Mapping[str, Any], value: Any, ctx: Any, stack: AsyncExitStack
) -> dict[str, Any]:
    """Values by parameter name. `given` ones are taken as they are; context managers are entered on `stack`."""
    resolved: dict[str, Any] = {}
    for dependency in dependencies:
        if dependency.parameter in given:
            resolved[dependency.parameter] = given[dependency.parameter]
            continue
        needs = await resolve(dependency.needs, given, value, ctx, stack)
        resolved[dependency.parameter] = await _enter(dependency.fn(value, ctx, **needs), stack)
    return resolved


def resolve_sync(
    dependencies: tuple[Dependency, ...], given: Mapping[str, Any], value: Any, ctx: Any, stack: ExitStack
) -> dict[str, Any]:
    """As `resolve`, for code without an event loop. Raises TypeError for an async dependency that is not given."""
    resolved: dict[str, Any] = {}
    for dependency in dependencies:
        if dependency.parameter in given:
            resolved[dependency.parameter] = given[dependency.parameter]
            continue
        needs = resolve_sync(dependency.needs, given, value, ctx, stack)
        result = dependency.fn(value, ctx, **needs)
        if inspect.isawaitable(result) or isinstance(result, AbstractAsyncContextManager):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(
                f"The dependency {_name(dependency.fn)} is async and cannot be resolved without an event loop. "
                f"Pass a value for it: dependencies={{{dependency.parameter!r}: ...}}."
            )
        is_manager = isinstance(result, AbstractContextManager)
        resolved[dependency.parameter] = stack.enter_context(result) if is_manager else result
    return resolved


async def _enter(result: Any, stack: AsyncExitStack) -> Any:
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, AbstractAsyncContextManager):
        return await stack.enter_async_context(result)
    if isinstance(result, AbstractContextManager):
        return stack.enter_context(result)
    return result


def _dependencies_of(fn: Callable[..., Any], path: tuple[Callable[..., Any], ...]) -> tuple[Dependency, ...]:
    found = []
    for parameter, marker in _marked_parameters(fn).items():
        if marker.fn in path:
            names = " -> ".join(_name(step) for step in (*path, marker.fn))
            raise InvalidDependencyError(f"Dependencies form a cycle: {names}. One of them must do without the other.")
        _check_signature(marker.fn)
        found.append(Dependency(parameter, marker.fn, _dependencies_of(marker.fn, (*path, marker.fn))))
    return tuple(found)


def _marked_parameters(fn: Callable[..., Any]) -> dict[str, Depends[Any]]:
    hints = annotations_of(fn)
    names = list(inspect.signature(fn).parameters)[_OWN_PARAMETERS:]
    markers = {name: _marker_in(hints.get(name)) for name in names}
    return {name: marker for name, marker in markers.items() if marker is not None}


def _marker_in(annotation: Any) -> Depends[Any] | None:
    """The `Depends` of an annotation, also behind type aliases."""
    if isinstance(annotation, TypeAliasType) or type(annotation).__name__ == "TypeAliasType":
        return _marker_in(annotation.__value__)
    if get_origin(annotation) is not Annotated:
        return None
    inner, *extras = get_args(annotation)
    markers = [extra for extra in extras if isinstance(extra, Depends)]
    return markers[0] if markers else _marker_in(inner)


def _check_signature(fn: Callable[..., Any]) -> None:
    if len(inspect.signature(fn).parameters) < _OWN_PARAMETERS:
        raise InvalidDependencyError(
            f"The dependency {_name(fn)} takes too few parameters: the first two are the task's input and its context."
        )


def annotations_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """The resolved annotations of a function.

    Each is resolved by itself: one that names a local type is left out and does not spoil the others. Raises
    InvalidDependencyError for such an annotation if it speaks of `Depends`, which must not be overlooked.
    """
    target = inspect.unwrap(fn)
    resolved: dict[str, Any] = {}
    for name, raw in getattr(target, "__annotations__", {}).items():
        try:
            holder = SimpleNamespace(__annotations__={name: raw})
            resolved |= get_type_hints(holder, getattr(target, "__globals__", {}), _enclosed(target), include_extras=True)
        except (NameError, TypeError, AttributeError) as error:
            if "Depends" in str(raw):
                raise InvalidDependencyError(
                    f"The annotation of {name!r} in {_name(fn)} cannot be resolved ({error}). "
                    "Define the names it uses at module level."
                ) from error
    return resolved


def _enclosed(fn: Callable[..., Any]) -> dict[str, Any]:
    """Names that the function encloses, for annotations of functions inside functions."""
    code, cells = getattr(fn, "__code__", None), getattr(fn, "__closure__", None)
    if code is None or not cells:
        return {}
    return {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True) if _is_filled(cell)}


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__qualname__", repr(fn))
