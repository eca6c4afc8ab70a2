"""`limpet.runs`: list, inspect, cancel and replay runs."""

from __future__ import annotations

import asyncio
import builtins
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, model_validator

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls, WorkflowRunDetail
from limpet.sdk.features.queries import BASE, LIST_WINDOW, instant_text, metadata_texts
from limpet.sdk.priority import Priority, check_priority
from limpet.sdk.rest.runs import V1TaskStatus, V1TaskSummary, V1TaskSummaryList, V1WorkflowRunDetails
from limpet.sdk.run_events import RunEventListener, StepRunEventType
from limpet.sdk.run_reference import WorkflowRunRef
from limpet.sdk.serde import JSONSerializableMapping

LIST_WINDOW_WARN = timedelta(days=7)  # a longer range reads many days of history in one call
DAY = timedelta(days=1)


class RunFilter(BaseModel):
    """Selects runs for bulk operations."""

    since: datetime
    until: datetime | None = None
    statuses: list[V1TaskStatus] | None = None
    workflow_ids: list[str] | None = None
    additional_metadata: dict[str, str] | None = None


class BulkCancelReplayOpts(BaseModel):
    """Selects runs for bulk cancel or replay: either `ids` or `filters`."""

    ids: list[str] | None = None
    filters: RunFilter | None = None

    @model_validator(mode="after")
    def _one_of(self) -> BulkCancelReplayOpts:
        if bool(self.ids) == bool(self.filters):
            raise ValueError("Give either ids or filters, and only one of them.")
        return self


class RunsClient:
    """List, inspect, cancel and replay runs. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._calls = calls
        self._rest = calls.rest
        self._tenant = f"{BASE}/tenants/{calls.config.tenant_id}"

    # One run

    def get(self, workflow_run_id: str) -> V1WorkflowRunDetails:
        """Everything about a run: its tasks, their events, its output."""
        return V1WorkflowRunDetails.model_validate(self._rest.request(HTTPMethod.GET, f"{BASE}/workflow-runs/{workflow_run_id}"))

    async def aio_get(self, workflow_run_id: str) -> V1WorkflowRunDetails:
        """As `get`."""
        return V1WorkflowRunDetails.model_validate(
            await self._rest.arequest(HTTPMethod.GET, f"{BASE}/workflow-runs/{workflow_run_id}")
        )

    def get_details(self, external_id: str) -> WorkflowRunDetail:
        """How a run stands, over gRPC."""
        return self._calls.run_details(external_id)

    async def aio_get_details(self, external_id: str) -> WorkflowRunDetail:
        """As `get_details`."""
        return await self._calls.aio_run_details(external_id)

    def get_status(self, workflow_run_id: str) -> V1TaskStatus:
        """The status of a run."""
        return V1TaskStatus(self._rest.request(HTTPMethod.GET, f"{BASE}/workflow-runs/{workflow_run_id}/status"))

    async def aio_get_status(self, workflow_run_id: str) -> V1TaskStatus:
        """As `get_status`."""
        return V1TaskStatus(await self._rest.arequest(HTTPMethod.GET, f"{BASE}/workflow-runs/{workflow_run_id}/status"))

    def get_task_run(self, task_run_id: str) -> V1TaskSummary:
        """The summary of one task run."""
        return V1TaskSummary.model_validate(self._rest.request(HTTPMethod.GET, f"{BASE}/tasks/{task_run_id}"))

    async def aio_get_task_run(self, task_run_id: str) -> V1TaskSummary:
        """As `get_task_run`."""
        return V1TaskSummary.model_validate(await self._rest.arequest(HTTPMethod.GET, f"{BASE}/tasks/{task_run_id}"))

    def get_result(self, run_id: str) -> JSONSerializableMapping:
        """The output of a run that has ended."""
        return self.get(run_id).run.output

    async def aio_get_result(self, run_id: str) -> JSONSerializableMapping:
        """As `get_result`."""
        return (await self.aio_get(run_id)).run.output

    def get_run_ref(self, workflow_run_id: str) -> WorkflowRunRef:
        """A reference to a run that was started elsewhere."""
        return WorkflowRunRef(workflow_run_id, self._calls)

    async def subscribe_to_stream(self, workflow_run_id: str) -> AsyncIterator[str]:
        """The stream chunks of a run, until it has ended."""
        async for event in self.get_run_ref(workflow_run_id).stream():
            if event.type is StepRunEventType.STEP_RUN_EVENT_TYPE_STREAM:
                yield event.payload

    def stream_by_additional_metadata(self, key: str, value: str) -> RunEventListener:
        """Events and chunks of all runs with this metadata pair, until the last of them has ended (W14.4)."""
        return RunEventListener(self._calls.transport, additional_meta_kv=(key, value))

    # Start by name

    def create(
        self,
        workflow_name: str,
        input: JSONSerializableMapping,
        additional_metadata: JSONSerializableMapping | None = None,
        priority: int | Priority | None = None,
    ) -> V1WorkflowRunDetails:
        """Start a run of a workflow by its name."""
        body = self._trigger_body(workflow_name, input, additional_metadata, priority)
        return V1WorkflowRunDetails.model_validate(
            self._rest.request(HTTPMethod.POST, f"{self._tenant}/workflow-runs/trigger", body=body)
        )

    async def aio_create(
        self,
        workflow_name: str,
        input: JSONSerializableMapping,
        additional_metadata: JSONSerializableMapping | None = None,
        priority: int | Priority | None = None,
    ) -> V1WorkflowRunDetails:
        """As `create`."""
        body = self._trigger_body(workflow_name, input, additional_metadata, priority)
        return V1WorkflowRunDetails.model_validate(
            await self._rest.arequest(HTTPMethod.POST, f"{self._tenant}/workflow-runs/trigger", body=body)
        )

    # Many runs

    def list(
        self,
        since: datetime | None = None,
        only_tasks: bool = False,
        offset: int | None = None,
        limit: int | None = None,
        statuses: builtins.list[V1TaskStatus] | None = None,
        until: datetime | None = None,
        additional_metadata: dict[str, str] | None = None,
        workflow_ids: builtins.list[str] | None = None,
        worker_id: str | None = None,
        parent_task_external_id: str | None = None,
        triggering_event_external_id: str | None = None,
        include_payloads: bool = True,
    ) -> V1TaskSummaryList:
        """One page of runs, newest first. `since` is a day ago unless given."""
        query = _list_query(
            since,
            until,
            only_tasks=only_tasks,
            offset=offset,
            limit=limit,
            statuses=_values(statuses),
            additional_metadata=metadata_texts(additional_metadata),
            workflow_ids=workflow_ids,
            worker_id=worker_id,
            parent_task_external_id=parent_task_external_id,
            triggering_event_external_id=triggering_event_external_id,
            include_payloads=include_payloads,
        )
        return V1TaskSummaryList.model_validate(self._rest.request(HTTPMethod.GET, f"{self._tenant}/workflow-runs", query=query))

    async def aio_list(
        self,
        since: datetime | None = None,
        only_tasks: bool = False,
        offset: int | None = None,
        limit: int | None = None,
        statuses: builtins.list[V1TaskStatus] | None = None,
        until: datetime | None = None,
        additional_metadata: dict[str, str] | None = None,
        workflow_ids: builtins.list[str] | None = None,
        worker_id: str | None = None,
        parent_task_external_id: str | None = None,
        triggering_event_external_id: str | None = None,
        include_payloads: bool = True,
    ) -> V1TaskSummaryList:
        """As `list`."""
        query = _list_query(
            since,
            until,
            only_tasks=only_tasks,
            offset=offset,
            limit=limit,
            statuses=_values(statuses),
            additional_metadata=metadata_texts(additional_metadata),
            workflow_ids=workflow_ids,
            worker_id=worker_id,
            parent_task_external_id=parent_task_external_id,
            triggering_event_external_id=triggering_event_external_id,
            include_payloads=include_payloads,
        )
        return V1TaskSummaryList.model_validate(
            await self._rest.arequest(HTTPMethod.GET, f"{self._tenant}/workflow-runs", query=query)
        )

    def list_with_pagination(
        self,
        since: datetime | None = None,
        only_tasks: bool = False,
        offset: int | None = None,
        limit: int | None = None,
        statuses: builtins.list[V1TaskStatus] | None = None,
        until: datetime | None = None,
        additional_metadata: dict[str, str] | None = None,
        workflow_ids: builtins.list[str] | None = None,
        worker_id: str | None = None,
        parent_task_external_id: str | None = None,
        triggering_event_external_id: str | None = None,
        include_payloads: bool = True,
    ) -> builtins.list[V1TaskSummary]:
        """As `list`, in one request for each day, merged, newest first."""
        pages = [
            self.list(
                begin,
                only_tasks,
                offset,
                limit,
                statuses,
                end,
                additional_metadata,
                workflow_ids,
                worker_id,
                parent_task_external_id,
                triggering_event_external_id,
                include_payloads,
            )
            for begin, end in _days(since, until)
        ]
        return _merged(pages)

    async def aio_list_with_pagination(
        self,
        since: datetime | None = None,
        only_tasks: bool = False,
        offset: int | None = None,
        limit: int | None = None,
        statuses: builtins.list[V1TaskStatus] | None = None,
        until: datetime | None = None,
        additional_metadata: dict[str, str] | None = None,
        workflow_ids: builtins.list[str] | None = None,
        worker_id: str | None = None,
        parent_task_external_id: str | None = None,
        triggering_event_external_id: str | None = None,
        include_payloads: bool = True,
    ) -> builtins.list[V1TaskSummary]:
        """As `list_with_pagination`."""
        pages = [
            await self.aio_list(
                begin,
                only_tasks,
                offset,
                limit,
                statuses,
                end,
                additional_metadata,
                workflow_ids,
                worker_id,
                parent_task_external_id,
                triggering_event_external_id,
                include_payloads,
            )
            for begin, end in _days(since, until)
        ]
        return _merged(pages)

    # Cancel and replay

    def cancel(self, run_id: str) -> None:
        """Cancel a run, or one task run."""
        self.bulk_cancel(BulkCancelReplayOpts(ids=[run_id]))

    async def aio_cancel(self, run_id: str) -> None:
        """As `cancel`."""
        await self.aio_bulk_cancel(BulkCancelReplayOpts(ids=[run_id]))

    def replay(self, run_id: str) -> None:
        """Run a finished run, or one task run, again."""
        self.bulk_replay(BulkCancelReplayOpts(ids=[run_id]))

    async def aio_replay(self, run_id: str) -> None:
        """As `replay`."""
        await self.aio_bulk_replay(BulkCancelReplayOpts(ids=[run_id]))

    def bulk_cancel(self, opts: BulkCancelReplayOpts) -> None:
        """Cancel runs by ids or by filter."""
        self._rest.request(HTTPMethod.POST, f"{self._tenant}/tasks/cancel", body=_selection(opts))

    async def aio_bulk_cancel(self, opts: BulkCancelReplayOpts) -> None:
        """As `bulk_cancel`."""
        await self._rest.arequest(HTTPMethod.POST, f"{self._tenant}/tasks/cancel", body=_selection(opts))

    def bulk_replay(self, opts: BulkCancelReplayOpts) -> None:
        """Replay runs by ids or by filter."""
        self._rest.request(HTTPMethod.POST, f"{self._tenant}/tasks/replay", body=_selection(opts))

    async def aio_bulk_replay(self, opts: BulkCancelReplayOpts) -> None:
        """As `bulk_replay`."""
        await self._rest.arequest(HTTPMethod.POST, f"{self._tenant}/tasks/replay", body=_selection(opts))

    def bulk_cancel_by_filters_with_pagination(
        self,
        sleep_time: int = 3,
        chunk_size: int = 500,
        since: datetime | None = None,
        until: datetime | None = None,
        statuses: builtins.list[V1TaskStatus] | None = None,
        additional_metadata: dict[str, str] | None = None,
        workflow_ids: builtins.list[str] | None = None,
    ) -> None:
        """Find matching runs (running and queued ones unless given), then cancel them in chunks."""
        wanted = statuses or [V1TaskStatus.RUNNING, V1TaskStatus.QUEUED]
        query = _ids_query(since, until, wanted, additional_metadata, workflow_ids)
        for number, chunk in enumerate(_chunks(self._ids(query), chunk_size)):
            time.sleep(sleep_time if number else 0)
            self.bulk_cancel(BulkCancelReplayOpts(ids=chunk))

    async def aio_bulk_cancel_by_filters_with_pagination(
        self,
        sleep_time: int = 3,
        chunk_size: int = 500,
        since: datetime | None = None,
        until: datetime | None = None,
        statuses: builtins.list[V1TaskStatus] | None = None,
        additional_metadata: dict[str, str] | None = None,
        workflow_ids: builtins.list[str] | None = None,
    ) -> None:
        """As `bulk_cancel_by_filters_with_pagination`."""
        wanted = statuses or [V1TaskStatus.RUNNING, V1TaskStatus.QUEUED]
        query = _ids_query(since, until, wanted, additional_metadata, workflow_ids)
        for number, chunk in enumerate(_chunks(await self._aio_ids(query), chunk_size)):
            await asyncio.sleep(sleep_time if number else 0)
            await self.aio_bulk_cancel(BulkCancelReplayOpts(ids=chunk))

    def bulk_replay_by_filters_with_pagination(
        self,
        sleep_time: int = 3,
        chunk_size: int = 500,
        since: datetime | None = None,
        until: datetime | None = None,
        statuses: builtins.list[V1TaskStatus] | None = None,
        additional_metadata: dict[str, str] | None = None,
        workflow_ids: builtins.list[str] | None = None,
    ) -> None:
        """Find matching runs (failed and cancelled ones unless given), then replay them in chunks."""
        wanted = statuses or [V1TaskStatus.FAILED, V1TaskStatus.CANCELLED]
        query = _ids_query(since, until, wanted, additional_metadata, workflow_ids)
        for number, chunk in enumerate(_chunks(self._ids(query), chunk_size)):
            time.sleep(sleep_time if number else 0)
            self.bulk_replay(BulkCancelReplayOpts(ids=chunk))

    async def aio_bulk_replay_by_filters_with_pagination(
        self,
        sleep_time: int = 3,
        chunk_size: int = 500,
        since: datetime | None = None,
        until: datetime | None = None,
        statuses: builtins.list[V1TaskStatus] | None = None,
        additional_metadata: dict[str, str] | None = None,
        workflow_ids: builtins.list[str] | None = None,
    ) -> None:
        """As `bulk_replay_by_filters_with_pagination`."""
        wanted = statuses or [V1TaskStatus.FAILED, V1TaskStatus.CANCELLED]
        query = _ids_query(since, until, wanted, additional_metadata, workflow_ids)
        for number, chunk in enumerate(_chunks(await self._aio_ids(query), chunk_size)):
            await asyncio.sleep(sleep_time if number else 0)
            await self.aio_bulk_replay(BulkCancelReplayOpts(ids=chunk))

    def _ids(self, query: dict[str, Any]) -> builtins.list[str]:
        path = f"{self._tenant}/workflow-runs/external-ids"
        return builtins.list(self._rest.request(HTTPMethod.GET, path, query=query))

    async def _aio_ids(self, query: dict[str, Any]) -> builtins.list[str]:
        path = f"{self._tenant}/workflow-runs/external-ids"
        return builtins.list(await self._rest.arequest(HTTPMethod.GET, path, query=query))

    def _trigger_body(
        self,
        workflow_name: str,
        value: JSONSerializableMapping,
        metadata: JSONSerializableMapping | None,
        priority: int | None,
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "workflowName": self._calls.config.apply_namespace(workflow_name),
            "input": dict(value),
            "additionalMetadata": dict(metadata or {}),
        }
        checked = check_priority(priority)
        return body | {"priority": checked} if checked is not None else body


def _list_query(since: datetime | None, until: datetime | None, **rest: Any) -> dict[str, Any]:
    begin = since or datetime.now(UTC) - LIST_WINDOW
    if (until or datetime.now(UTC)).astimezone() - begin.astimezone() > LIST_WINDOW_WARN:
        warnings.warn("Listing more than seven days in one call is slow; use list_with_pagination.", stacklevel=4)
    return {"since": instant_text(begin), "until": instant_text(until)} | rest


def _ids_query(
    since: datetime | None,
    until: datetime | None,
    statuses: list[V1TaskStatus],
    metadata: dict[str, str] | None,
    workflow_ids: list[str] | None,
) -> dict[str, Any]:
    return {
        "since": instant_text(since or datetime.now(UTC) - LIST_WINDOW),
        "until": instant_text(until),
        "statuses": _values(statuses),
        "additional_metadata": metadata_texts(metadata),
        "workflow_ids": workflow_ids,
    }


def _selection(opts: BulkCancelReplayOpts) -> dict[str, Any]:
    if opts.filters is None:
        return {"externalIds": opts.ids}
    filters = opts.filters
    members = {
        "since": instant_text(filters.since),
        "until": instant_text(filters.until),
        "statuses": _values(filters.statuses),
        "workflowIds": filters.workflow_ids,
        "additionalMetadata": metadata_texts(filters.additional_metadata),
    }
    return {"filter": {key: value for key, value in members.items() if value is not None}}


def _values(statuses: list[V1TaskStatus] | None) -> list[str] | None:
    return [V1TaskStatus(status).value for status in statuses] if statuses is not None else None


def _days(since: datetime | None, until: datetime | None) -> Iterator[tuple[datetime, datetime]]:
    end = (until or datetime.now(UTC)).astimezone(UTC)
    begin = (since or end - LIST_WINDOW).astimezone(UTC)
    while begin < end:
        yield begin, min(begin + DAY, end)
        begin += DAY


def _merged(pages: list[V1TaskSummaryList]) -> list[V1TaskSummary]:
    rows = {row.metadata.id: row for page in pages for row in page.rows}
    return sorted(rows.values(), key=lambda row: row.created_at, reverse=True)


def _chunks(ids: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
