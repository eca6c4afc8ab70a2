"""What whoever composes the engine decides about its HTTP edge."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from limpet.edges.rest.facts import RestFacts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CALLS_PER_SECOND = 1_000.0  # per tenant; off in development mode [X19]


@dataclass(frozen=True)
class HttpOptions:
    """Choices of the HTTP edge.

    dev_mode:         no authentication is in front, so Host, Origin and content type are checked instead
    tls:              None: plain HTTP
    registry:         what `/metrics` shows; None: no such page
    metrics_password: asked for as bearer token of `/metrics`; None: only peers on this machine may read it
    calls_per_second: per tenant, over all its connections; None: no limit
    pages:            further routes, for one the dashboard's; they come before the REST tree
    """

    dev_mode: bool = False
    tls: ssl.SSLContext | None = None
    registry: CollectorRegistry | None = None
    metrics_password: str | None = field(default=None, repr=False)
    calls_per_second: float | None = CALLS_PER_SECOND
    rest: RestFacts = field(default_factory=RestFacts)
    pages: tuple[BaseRoute, ...] = ()
