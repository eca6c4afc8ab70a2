"""Whether the engine lives and whether it can work; what it counts (reliability section 8)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from limpet.edges.rest.problems import problem
from limpet.edges.rest.status import FORBIDDEN, UNAVAILABLE
from limpet.engine.door import Door

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Handler = Callable[[Request], Awaitable[Response]]
LOOPBACK_PEERS = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})
NOT_READY = "the engine is not ready: its store does not take commits, or it is still loading; the engine's log says which"


async def health(request: Request) -> Response:
    """Liveness: that this was answered means that the loop turns."""
    return json_answer({"status": "alive"})


def ready(door: Door) -> Handler:
    """Readiness: the store is reachable, the loop turns, commits succeed."""

    async def answer(request: Request) -> Response:
        return json_answer({"status": "ready"}) if door.is_ready else problem(UNAVAILABLE, door.standby or NOT_READY)

    return answer


def metrics(registry: CollectorRegistry, password: str | None) -> Handler:
    """The registry as Prometheus text. They speak of every tenant, so no tenant's token opens them (S1)."""

    async def answer(request: Request) -> Response:
        if not may_read(request, password):
            return problem(
                FORBIDDEN, "metrics are shown to callers on this machine only, or with the metrics password as bearer token"
            )
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # kept off the start-up path

        text = await asyncio.to_thread(generate_latest, registry)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    return answer


def may_read(request: Request, password: str | None) -> bool:
    """With a password: whoever sends it. Without: whoever calls from this machine."""
    if password is None:
        return request.client is not None and request.client.host in LOOPBACK_PEERS
    sent = request.headers.get("authorization", "").partition(" ")[2].strip()
    return secrets.compare_digest(sent.encode(), password.encode())


def json_answer(content: object) -> Response:
    """A small JSON answer."""
    return Response(orjson.dumps(content), media_type="application/json")
