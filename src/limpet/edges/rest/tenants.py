"""The tenant itself."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from limpet.core.ids import TenantId
from limpet.edges.rest.answers import answer, moment
from limpet.edges.rest.caller import Calling
from limpet.edges.rest.facts import RestFacts
from limpet.edges.rest.schemas import ResourceMeta, TenantShown
from limpet.store.api import Tenant

router: APIRouter = APIRouter(prefix="/v1")


@router.get("/tenants/{tenant}", response_model=TenantShown)
async def get_tenant(caller: Calling, tenant: str) -> Response:
    """The caller's tenant."""
    rows = await caller.facts.tenants()
    found = next((row for row in rows if row.id == caller.tenant), None)
    return await answer(lambda: tenant_shown(caller.tenant, found, caller.facts))


def tenant_shown(tenant: TenantId, row: Tenant | None, facts: RestFacts) -> TenantShown:
    """What is known of it; without a row, its id."""
    born = moment(row.created_at if row else 0)
    name = row.name if row else tenant
    return TenantShown(
        metadata=ResourceMeta(id=tenant, created_at=born, updated_at=born),
        name=name,
        slug=slug_of(name),
        environment=facts.environment,
        server_url=facts.server_url or None,
        data_retention_period=None if facts.retention_days is None else f"{facts.retention_days * 24}h",
    )


def slug_of(name: str) -> str:
    """The name as it may stand in an address."""
    return "-".join("".join(sign if sign.isalnum() else " " for sign in name.lower()).split())
