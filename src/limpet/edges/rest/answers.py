"""Building and writing answers, away from the engine's loop (design D21)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from starlette.responses import Response

from limpet.edges.rest.schemas import Pagination, Schema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_CONTENT = 204


async def answer(build: Callable[[], Schema | Sequence[Schema] | dict[str, Any]]) -> Response:
    """The JSON of what `build` makes. Both steps run in a thread: a page of a thousand rows takes milliseconds."""
    return Response(await asyncio.to_thread(lambda: as_json(build())), media_type="application/json")


def plain(content: object) -> Response:
    """The JSON of a small value."""
    return Response(orjson.dumps(content), media_type="application/json")


def nothing() -> Response:
    """An empty answer for something that is gone now."""
    return Response(status_code=NO_CONTENT)


def as_json(content: Schema | Sequence[Schema] | dict[str, Any]) -> bytes:
    """Models by their wire names; payload fragments are spliced in as they are."""
    return orjson.dumps(content, default=fields_of, option=orjson.OPT_UTC_Z)


def fields_of(value: object) -> Any:
    """What orjson does not know itself: our models."""
    if isinstance(value, Schema):
        return value.model_dump(by_alias=True)
    raise TypeError(f"a {type(value).__name__} has no place in an answer")


def moment(at: int) -> datetime:
    """An instant in microseconds as a datetime."""
    return EPOCH + timedelta(microseconds=at)


def moment_or_none(at: int | None) -> datetime | None:
    """The same for what may not have happened yet."""
    return None if at is None else moment(at)


def instant(moment: datetime) -> int:
    """A datetime as microseconds; without an offset it counts as UTC, which is what official clients mean."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def duration_ms(started_at: int | None, finished_at: int | None) -> int | None:
    """Whole milliseconds; None until both ends are known."""
    return None if started_at is None or finished_at is None else max(0, finished_at - started_at) // 1000


def pagination(offset: int, limit: int, total: int | None) -> Pagination:
    """Where a page lies; pages count from 1. Without a total nobody counted."""
    current = offset // max(1, limit) + 1
    if total is None:
        return Pagination(current_page=current, next_page=current + 1)
    pages = max(1, -(-total // max(1, limit)))
    return Pagination(current_page=current, next_page=min(current + 1, pages), num_pages=pages)
