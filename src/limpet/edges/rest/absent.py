"""Routes of the wire whose features this engine does not carry out yet: one table, an honest 501 for each.

A 404 would say that the thing asked for does not exist; clients would look for their mistake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from limpet.edges.rest.problems import problem
from limpet.edges.rest.status import NOT_IMPLEMENTED


@dataclass(frozen=True, slots=True)
class Absent:
    """A route without its feature. `instead`: what does the job meanwhile, if anything."""

    methods: tuple[str, ...]
    path: str
    feature: str
    instead: str = ""


ABSENT = (
    Absent(("POST",), "/v1/tenants/{tenant}/webhook-workers", "webhook workers"),
    Absent(("POST",), "/v1/stable/tenants/{tenant}/durable-tasks/branch", "durable tasks"),
    Absent(("POST",), "/v1/stable/tasks/{task}/restore", "durable tasks"),
)


def absent_router() -> APIRouter:
    """Routes that answer 501 with a sentence."""
    router = APIRouter()
    for each in ABSENT:
        router.add_api_route(each.path, handler_of(each), methods=list(each.methods), include_in_schema=False)
    return router


def handler_of(absent: Absent) -> Callable[[], Awaitable[Response]]:
    """The handler of one of them."""
    text = f"this engine does not carry out {absent.feature} yet"

    async def refuse() -> Response:
        return problem(NOT_IMPLEMENTED, f"{text}: {absent.instead}" if absent.instead else text)

    return refuse
