"""The REST tree as one FastAPI application. Imported at the first call, because FastAPI is slow to import (D14).

It stands behind credentials: every route finds its tenant in the call's state, and there is no way around.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response

from limpet._version import __version__
from limpet.core.errors import LimpetError
from limpet.edges.rest import (
    absent,
    counts,
    crons,
    events,
    expressions,
    filters,
    metrics,
    older_lists,
    rate_limits,
    runs,
    scheduled,
    tasks,
    tenants,
    timings,
    traces,
    webhooks,
    workers,
    workflows,
)
from limpet.edges.rest.facts import RestFacts
from limpet.edges.rest.problems import Problem, problem, problem_of, problems
from limpet.edges.rest.schemas import ApiErrors
from limpet.edges.rest.status import BAD_REQUEST, UNAVAILABLE
from limpet.edges.rest.unbroken import Unbroken
from limpet.engine.door import Door
from limpet.store.api import StoreError

# Absent features come first: a route with a parameter would swallow their paths.
ROUTERS = (
    absent.absent_router(),
    tasks.router,
    counts.router,
    timings.router,
    runs.router,
    workers.router,
    crons.router,
    scheduled.router,
    workflows.router,
    metrics.router,
    older_lists.router,
    rate_limits.router,
    expressions.router,
    events.router,
    filters.router,
    webhooks.router,
    tenants.router,
    traces.router,
)
ERROR_ANSWERS: dict[int | str, dict[str, Any]] = {"default": {"model": ApiErrors}}


def build_rest(door: Door, facts: RestFacts) -> FastAPI:
    """All routes below `/api`."""
    app = FastAPI(
        title="Limpet",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # both pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Unbroken)],
        responses=ERROR_ANSWERS,
        exception_handlers={
            LimpetError: engine_error,
            StoreError: store_error,
            RequestValidationError: malformed,
            HTTPException: not_served,
        },
    )
    app.state.door, app.state.facts = door, facts
    for router in ROUTERS:
        app.include_router(router)
    return app


async def engine_error(request: Request, error: Exception) -> Response:
    """An error of the engine, in its own words."""
    assert isinstance(error, LimpetError)
    return problem_of(error)


async def store_error(request: Request, error: Exception) -> Response:
    """Reading failed: infrastructure, not the caller (R35)."""
    return problem(UNAVAILABLE, "the engine's store cannot be read right now: try again")


async def malformed(request: Request, error: Exception) -> Response:
    """Parameters that cannot be read, a sentence each."""
    assert isinstance(error, RequestValidationError)
    return problems(BAD_REQUEST, faults(error))


def faults(error: RequestValidationError) -> Iterator[Problem]:
    """What is wrong with which parameter."""
    for each in error.errors():
        name = ".".join(str(part) for part in each["loc"][1:])
        yield Problem(f"{name or 'the request'}: {each['msg']}", name or None)


async def not_served(request: Request, error: Exception) -> Response:
    """Unknown paths and methods."""
    assert isinstance(error, HTTPException)
    return problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}", error.headers)
