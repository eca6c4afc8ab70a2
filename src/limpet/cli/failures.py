"""The error text of a failed task as people read it: one sentence, and the traceback apart from it."""

from __future__ import annotations

from limpet.sdk.exceptions import UNKNOWN_ERROR_TYPE, TaskRunError


def headline(text: str) -> str:
    """`ValueError: the disk is full`. A text in no known form, such as the engine's own, is taken as it is."""
    failure = TaskRunError.deserialize(text)
    if failure.exc_type == UNKNOWN_ERROR_TYPE and not failure.trace:
        return failure.exc
    return f"{failure.exc_type}: {failure.exc}" if failure.exc else failure.exc_type


def traceback_lines(text: str) -> list[str]:
    """Where it failed; nothing when the text does not say."""
    return TaskRunError.deserialize(text).trace.strip().splitlines()
