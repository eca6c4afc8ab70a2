"""What the REST edge knows beyond the door: told by whoever composes the engine."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from limpet.core.settings import Settings
from limpet.edges.traces import TraceShelf
from limpet.edges.vault import Vault, new_vault
from limpet.store.api import Tenant


async def no_tenants() -> Sequence[Tenant]:
    """The default of `RestFacts.tenants`: nothing is known but the id in the token."""
    return ()


@dataclass(frozen=True)
class RestFacts:
    """Facts that answers show.

    tenants:        names and birthdays, as `Store.tenants` tells them
    clock:          seconds since 1970; says whether a worker is silent
    server_url:     where clients reach this edge; empty: not known
    environment:    local, development or production, as the wire's enum has it
    retention_days: how long finished runs are kept; None: for ever
    traces:         spans that clients sent to this server
    vault:          what secrets of webhooks are sealed with; a fresh one forgets them with the process
    """

    tenants: Callable[[], Awaitable[Sequence[Tenant]]] = no_tenants
    settings: Settings = field(default_factory=Settings)
    clock: Callable[[], float] = time.time
    server_url: str = ""
    environment: str = "local"
    retention_days: int | None = None
    traces: TraceShelf = field(default_factory=TraceShelf)
    vault: Vault = field(default_factory=new_vault, repr=False)
