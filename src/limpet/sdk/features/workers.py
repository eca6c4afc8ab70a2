"""`limpet.workers`: see and steer the workers."""

from __future__ import annotations

from typing import Any

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.rest.workers import UpdateWorkerRequest, Worker, WorkerList

PAUSE_TIMEOUT_S = 10.0  # what a leaving worker may spend on telling the engine [WK-34]


class WorkersClient:
    """See and steer workers. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest = calls.rest
        self._tenant_id = calls.config.tenant_id

    def get(self, worker_id: str) -> Worker:
        """One worker."""
        return Worker.model_validate(self._rest.request(HTTPMethod.GET, f"/api/v1/workers/{worker_id}"))

    async def aio_get(self, worker_id: str) -> Worker:
        """As `get`."""
        return Worker.model_validate(await self._rest.arequest(HTTPMethod.GET, f"/api/v1/workers/{worker_id}"))

    def list(self) -> WorkerList:
        """All workers of the tenant."""
        return WorkerList.model_validate(self._rest.request(HTTPMethod.GET, f"/api/v1/tenants/{self._tenant_id}/worker"))

    async def aio_list(self) -> WorkerList:
        """As `list`."""
        path = f"/api/v1/tenants/{self._tenant_id}/worker"
        return WorkerList.model_validate(await self._rest.arequest(HTTPMethod.GET, path))

    def update(self, worker_id: str, opts: UpdateWorkerRequest) -> Worker:
        """Change a worker."""
        return Worker.model_validate(self._rest.request(HTTPMethod.PATCH, f"/api/v1/workers/{worker_id}", body=_body(opts)))

    async def aio_update(self, worker_id: str, opts: UpdateWorkerRequest) -> Worker:
        """As `update`."""
        path = f"/api/v1/workers/{worker_id}"
        body = _body(opts)
        return Worker.model_validate(await self._rest.arequest(HTTPMethod.PATCH, path, body=body, timeout_s=PAUSE_TIMEOUT_S))

    def pause(self, worker_id: str) -> Worker:
        """Stop assigning tasks to a worker; running ones go on."""
        return self.update(worker_id, UpdateWorkerRequest(is_paused=True))

    async def aio_pause(self, worker_id: str) -> Worker:
        """As `pause`."""
        return await self.aio_update(worker_id, UpdateWorkerRequest(is_paused=True))

    def unpause(self, worker_id: str) -> Worker:
        """Assign tasks to a worker again."""
        return self.update(worker_id, UpdateWorkerRequest(is_paused=False))

    async def aio_unpause(self, worker_id: str) -> Worker:
        """As `unpause`."""
        return await self.aio_update(worker_id, UpdateWorkerRequest(is_paused=False))


def _body(opts: UpdateWorkerRequest) -> dict[str, Any]:
    return opts.model_dump(by_alias=True, exclude_none=True)
