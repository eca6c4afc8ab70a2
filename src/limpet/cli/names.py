"""People say names, the API wants ids."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from limpet.cli.api import PAGE_MAX, Api
from limpet.cli.exits import Missing, Misuse


def is_id(text: str) -> bool:
    """Whether the text is a UUID."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def workflow_id_of(api: Api, name: str) -> str:
    """The id of a workflow; an id is taken as it is."""
    if is_id(name):
        return name
    rows = api.get("/api/v1/tenants/{tenant}/workflows", {"name": name, "limit": PAGE_MAX}).get("rows") or []
    found = [row["metadata"]["id"] for row in rows if row["name"] == name]
    if not found:
        raise Missing(f"There is no workflow {name}.", "`limpet workflows list` shows the registered ones.")
    return str(found[0])


def worker_of(api: Api, name: str) -> Any:
    """A worker by id, or by a name that only one active worker has."""
    if is_id(name):
        return api.get(f"/api/v1/workers/{name}")
    rows = api.get("/api/v1/tenants/{tenant}/worker", {"limit": PAGE_MAX}).get("rows") or []
    found = [row for row in rows if row["name"] == name]
    found = [row for row in found if row.get("status") != "INACTIVE"] or found
    if not found:
        raise Missing(f"There is no worker {name}.", "`limpet workers list` shows them.")
    if len(found) > 1:
        ids = ", ".join(row["metadata"]["id"] for row in found)
        raise Misuse(f"{len(found)} workers are called {name}.", f"Name one by its id: {ids}")
    return found[0]
