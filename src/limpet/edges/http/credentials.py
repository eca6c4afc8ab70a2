"""Who is calling: everything behind this middleware knows its tenant, from the credential alone (X4, X5).

Order of X4: the size of the head was checked before; here come authentication, tenant and rate, all from the head
alone. The body is read, within its bounds, only for callers that are let in: nobody else can fill memory with one.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from limpet.core.errors import NotOwner
from limpet.core.ids import TenantId, TenantNo
from limpet.edges.access import Access, AccessUnavailable, NotAuthenticated, not_served_yet
from limpet.edges.http.rates import CallRates
from limpet.edges.rest.problems import problem
from limpet.edges.rest.status import FORBIDDEN, TOO_MANY, UNAVAILABLE
from limpet.engine.door import Door

TENANT_SEGMENT = re.compile(r"/api/v1/(?:stable/)?tenants/([^/]+)")
NOT_YOURS = "this token does not open that tenant: use a token that was made for it"  # the same for unknown tenants [X11]


class Credentials:
    """Puts `tenant` and `tenant_no` into the state of a call, or answers it."""

    def __init__(self, app: ASGIApp, *, door: Door, access: Access, rates: CallRates) -> None:
        self._app = app
        self._door = door
        self._access = access
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with a tenant, or answer 403, 429 or 503."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refusal = self._admit(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _admit(self, scope: Scope) -> Response | None:
        try:
            tenant, tenant_no = self._caller(scope)
        except NotAuthenticated as error:
            return problem(FORBIDDEN, str(error) or "please provide valid credentials")
        except AccessUnavailable as error:
            return problem(UNAVAILABLE, str(error) or "credentials cannot be checked right now: try again")
        except NotOwner as error:
            return problem(UNAVAILABLE, str(error))
        if not self._rates.take(tenant):
            return problem(TOO_MANY, f"more than {self._rates.per_second:g} calls a second: slow down", {"retry-after": "1"})
        scope.setdefault("state", {}).update(tenant=tenant, tenant_no=tenant_no)
        return None

    def _caller(self, scope: Scope) -> tuple[TenantId, TenantNo]:
        """Raises NotAuthenticated, AccessUnavailable or NotOwner."""
        tenant = self._access.tenant_of(Headers(scope=scope).get("authorization"))
        tenant_no = self._door.tenant_no(tenant)
        if not names_tenant(str(scope["path"]), tenant):
            raise NotAuthenticated(NOT_YOURS)
        if tenant_no is None:
            raise not_served_yet(tenant)
        return tenant, tenant_no


def names_tenant(path: str, tenant: TenantId) -> bool:
    """Whether the path names that tenant, or none."""
    found = TENANT_SEGMENT.match(path)
    return found is None or found.group(1).lower() == tenant.lower()
