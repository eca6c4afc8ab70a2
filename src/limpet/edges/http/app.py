"""The HTTP edge as one ASGI application: health and metrics here, the REST tree under `/api`, pages beside it."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from limpet.edges.access import Access
from limpet.edges.http.bodies import BoundedBodies
from limpet.edges.http.credentials import Credentials
from limpet.edges.http.guards import LocalCallersOnly, SecurityHeaders
from limpet.edges.http.health import health, metrics, ready
from limpet.edges.http.lazy import LazyApp
from limpet.edges.http.options import HttpOptions
from limpet.edges.http.rates import CallRates
from limpet.edges.rest.problems import problem
from limpet.edges.rest.unbroken import Unbroken
from limpet.edges.webhooks import receiving as webhooks
from limpet.engine.door import Door


def build_app(door: Door, access: Access, options: HttpOptions) -> ASGIApp:
    """Everything that is served over HTTP."""
    app = Starlette(
        routes=[*plain_routes(door, options), *options.pages, Mount("/api", rest_tree(door, access, options))],
        middleware=guards(options),
        exception_handlers={HTTPException: not_served},
    )
    app.router.redirect_slashes = False  # a path is right or wrong; a redirect would repeat the caller's Host header
    return SecurityHeaders(app, tls=options.tls is not None)


def plain_routes(door: Door, options: HttpOptions) -> list[BaseRoute]:
    """What needs no tenant."""
    routes: list[BaseRoute] = [Route(path, health) for path in ("/health", "/api/live")]
    routes += [Route(path, ready(door)) for path in ("/ready", "/api/ready")]
    routes.append(Route(webhooks.PATH, webhooks.Receiving(door, options.rest), methods=["POST"]))
    if options.registry is not None:
        routes.append(Route("/metrics", metrics(options.registry, options.metrics_password)))
    return routes


def guards(options: HttpOptions) -> list[Middleware]:
    """What every call passes."""
    return [Middleware(Unbroken), *([Middleware(LocalCallersOnly)] if options.dev_mode else [])]


async def not_served(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, in the words of the error schema."""
    assert isinstance(error, HTTPException)
    return problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}", error.headers)


def rest_tree(door: Door, access: Access, options: HttpOptions) -> ASGIApp:
    """The REST tree behind its credentials; built at the first call."""

    def build() -> ASGIApp:
        from limpet.edges.rest.app import build_rest  # FastAPI, lazily

        return build_rest(door, options.rest)

    rates = CallRates(None if options.dev_mode else options.calls_per_second)
    return Credentials(BoundedBodies(LazyApp(build)), door=door, access=access, rates=rates)
