"""What other modules need of a declared task: its name, and how to read its output."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pydantic import TypeAdapter

R = TypeVar("R")


class TaskReference(Protocol[R]):
    """A declared task, seen from a task that depends on it."""

    @property
    def name(self) -> str:
        """The task's name in its workflow."""

    @property
    def output_validator(self) -> TypeAdapter[R]:
        """Reads the task's output."""
