"""Waiting for many runs at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol


class Reference(Protocol):
    """Something whose result can be waited for."""

    def result(self) -> Any:
        """Block for the result."""

    async def aio_result(self) -> Any:
        """Await the result."""


def gather_results(refs: Sequence[Reference], return_exceptions: bool) -> list[Any]:
    """Results in order. Failures are raised, or stand in the list when `return_exceptions`."""
    return [_result_or_exception(ref) if return_exceptions else ref.result() for ref in refs]


async def aio_gather_results(refs: Sequence[Reference], return_exceptions: bool) -> list[Any]:
    """As `gather_results`, awaited."""
    return await asyncio.gather(*(ref.aio_result() for ref in refs), return_exceptions=return_exceptions)


def _result_or_exception(ref: Reference) -> Any:
    try:
        return ref.result()
    except Exception as error:
        return error
