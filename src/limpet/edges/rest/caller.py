"""Who calls, and what a handler needs to answer: the tenant from the credential, the door, the facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.ids import TenantId, TenantNo, is_uuid
from limpet.core.inputs import Input
from limpet.core.rows import WorkflowRow
from limpet.edges.rest.facts import RestFacts
from limpet.engine.door import Door
from limpet.store.api import Reader, RunRecord, TaskRecord


@dataclass(frozen=True, slots=True)
class Caller:
    """One call's view of the engine, bound to its tenant (X5)."""

    door: Door
    facts: RestFacts
    tenant: TenantId
    tenant_no: TenantNo

    @property
    def reader(self) -> Reader:
        return self.door.reader

    async def submit(self, item: Input) -> object:
        """Hand in an input; its reply after the commit."""
        return await self.door.submit(self.tenant, item)

    async def run(self, run_id: str) -> RunRecord:
        """A run of this tenant. Raises NotFound, also for other tenants' runs and for texts that are no id (X11)."""
        found = await self.reader.run(self.tenant_no, run_id.lower()) if is_uuid(run_id) else None
        if found is None:
            raise NotFound("workflow run", run_id)
        return found

    async def task(self, task_run_id: str) -> TaskRecord:
        """A task of this tenant. Raises NotFound."""
        found = await self.reader.task(self.tenant_no, task_run_id.lower()) if is_uuid(task_run_id) else None
        if found is None:
            raise NotFound("task", task_run_id)
        return found

    async def workflow(self, workflow_id: str) -> WorkflowRow:
        """A workflow of this tenant that is not deleted. Raises NotFound."""
        for row in await self.reader.workflows(self.tenant_no):
            if row.id == workflow_id.lower() and row.deleted_at is None:
                return row
        raise NotFound("workflow", workflow_id)


def caller_of(request: Request) -> Caller:
    """Made from what the credentials left in the call's state."""
    return Caller(request.app.state.door, request.app.state.facts, request.state.tenant, request.state.tenant_no)


Calling = Annotated[Caller, Depends(caller_of)]


def checked_ids(ids: list[str], field: str, most: int) -> tuple[str, ...]:
    """Ids of a request, in lower case. Raises InvalidArgument for a text that is no UUID, and for too many."""
    if len(ids) > most:
        raise InvalidArgument(f"{field} has {len(ids)} entries, and at most {most} are taken at once: send them in chunks")
    for place, each in enumerate(ids):
        if not is_uuid(each):
            raise InvalidArgument(f"{field}[{place}] is {each[:64]!r}, which is no UUID")
    return tuple(each.lower() for each in ids)
