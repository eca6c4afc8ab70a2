"""`limpet.event`: push events, and see what they started."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from limpet.contracts import events_pb2
from limpet.sdk._transport import BULK_PUSH_EVENTS, PUSH_EVENT
from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.event_options import BulkPushEventOptions, BulkPushEventWithMetadata, Event, PushEventOptions
from limpet.sdk.event_proto import push_chunks, push_request, read_event
from limpet.sdk.features.queries import metadata_texts
from limpet.sdk.priority import Priority
from limpet.sdk.rest.events import V1Event, V1EventList
from limpet.sdk.rest.runs import V1TaskStatus
from limpet.sdk.run_variables import ctx_hatchet_context
from limpet.sdk.serde import JSONSerializableMapping
from limpet.sdk.telemetry.hooks import Asking, hook
from limpet.sdk.triggers import new_request_id


class EventClient:
    """Push events, and see what they started. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._calls = calls
        self._path = f"/api/v1/stable/tenants/{calls.config.tenant_id}/events"

    def push(
        self,
        event_key: str,
        payload: JSONSerializableMapping,
        options: PushEventOptions | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
        priority: int | Priority | None = None,
        scope: str | None = None,
    ) -> Event:
        """Push one event. When this returns it is stored, and the runs that it starts exist.

        scope:   what filters of workflows go by
        options: the older spelling of the other arguments, which count before it
        """
        request = self._request(event_key, payload, options, additional_metadata, priority, scope)
        with hook.tracer.asking(Asking.EVENT, [request]):
            return read_event(self._calls.transport.call(PUSH_EVENT, request, request_id=new_request_id()))

    async def aio_push(
        self,
        event_key: str,
        payload: JSONSerializableMapping,
        options: PushEventOptions | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
        priority: int | Priority | None = None,
        scope: str | None = None,
    ) -> Event:
        """As `push`."""
        request = self._request(event_key, payload, options, additional_metadata, priority, scope)
        with hook.tracer.asking(Asking.EVENT, [request]):
            return read_event(await self._calls.transport.acall(PUSH_EVENT, request, request_id=new_request_id()))

    def bulk_push(
        self, events: builtins.list[BulkPushEventWithMetadata], options: BulkPushEventOptions | None = None
    ) -> builtins.list[Event]:
        """Push many events, in calls of at most 1,000; each call is taken whole or not at all. In the order given."""
        pushed: builtins.list[Event] = []
        for chunk in self._chunks(events, options):
            with hook.tracer.asking(Asking.EVENTS, chunk.events):
                answer = self._calls.transport.call(BULK_PUSH_EVENTS, chunk, request_id=new_request_id())
            pushed += map(read_event, answer.events)
        return pushed

    async def aio_bulk_push(
        self, events: builtins.list[BulkPushEventWithMetadata], options: BulkPushEventOptions | None = None
    ) -> builtins.list[Event]:
        """As `bulk_push`."""
        pushed: builtins.list[Event] = []
        for chunk in self._chunks(events, options):
            with hook.tracer.asking(Asking.EVENTS, chunk.events):
                answer = await self._calls.transport.acall(BULK_PUSH_EVENTS, chunk, request_id=new_request_id())
            pushed += map(read_event, answer.events)
        return pushed

    def get(self, event_id: str) -> V1Event:
        """One event, with the runs that it started."""
        return V1Event.model_validate(self._calls.rest.request(HTTPMethod.GET, f"{self._path}/{event_id}"))

    async def aio_get(self, event_id: str) -> V1Event:
        """As `get`."""
        return V1Event.model_validate(await self._calls.rest.arequest(HTTPMethod.GET, f"{self._path}/{event_id}"))

    def list(
        self,
        offset: int | None = None,
        limit: int | None = None,
        keys: builtins.list[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        workflow_ids: builtins.list[str] | None = None,
        workflow_run_statuses: builtins.list[V1TaskStatus] | None = None,
        event_ids: builtins.list[str] | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
        scopes: builtins.list[str] | None = None,
    ) -> V1EventList:
        """Events, newest first; everything given must hold, of lists any member."""
        query = self._query(
            offset, limit, keys, since, until, workflow_ids, workflow_run_statuses, event_ids, additional_metadata, scopes
        )
        return V1EventList.model_validate(self._calls.rest.request(HTTPMethod.GET, self._path, query=query))

    async def aio_list(
        self,
        offset: int | None = None,
        limit: int | None = None,
        keys: builtins.list[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        workflow_ids: builtins.list[str] | None = None,
        workflow_run_statuses: builtins.list[V1TaskStatus] | None = None,
        event_ids: builtins.list[str] | None = None,
        additional_metadata: JSONSerializableMapping | None = None,
        scopes: builtins.list[str] | None = None,
    ) -> V1EventList:
        """As `list`."""
        query = self._query(
            offset, limit, keys, since, until, workflow_ids, workflow_run_statuses, event_ids, additional_metadata, scopes
        )
        return V1EventList.model_validate(await self._calls.rest.arequest(HTTPMethod.GET, self._path, query=query))

    def _request(
        self,
        key: str,
        payload: Mapping[str, Any],
        options: PushEventOptions | None,
        metadata: Mapping[str, Any] | None,
        priority: int | Priority | None,
        scope: str | None,
    ) -> events_pb2.PushEventRequest:
        older = options or PushEventOptions()
        event = BulkPushEventWithMetadata(
            key=key,
            payload=dict(payload),
            additional_metadata=older.additional_metadata | dict(metadata or {}),
            priority=older.priority if priority is None else priority,
            scope=older.scope if scope is None else scope,
        )
        return push_request(event, self._calls.config, older.namespace, ctx_hatchet_context.get())

    def _chunks(
        self, events: Sequence[BulkPushEventWithMetadata], options: BulkPushEventOptions | None
    ) -> builtins.list[events_pb2.BulkPushEventRequest]:
        """All that can be wrong with the events is found before the first call."""
        config, parent = self._calls.config, ctx_hatchet_context.get()
        namespace = None if options is None else options.namespace
        requests = [push_request(event, config, namespace, parent) for event in events]
        return [*push_chunks(requests, bytes_max=config.grpc_max_send_message_length)]

    def _query(
        self,
        offset: int | None,
        limit: int | None,
        keys: Sequence[str] | None,
        since: datetime | None,
        until: datetime | None,
        workflow_ids: Sequence[str] | None,
        statuses: Sequence[V1TaskStatus] | None,
        event_ids: Sequence[str] | None,
        metadata: Mapping[str, Any] | None,
        scopes: Sequence[str] | None,
    ) -> dict[str, Any]:
        return {
            "offset": offset,
            "limit": limit,
            "keys": None if keys is None else [self._calls.config.apply_namespace(key) for key in keys],
            "since": since,
            "until": until,
            "workflowIds": workflow_ids,
            "workflowRunStatuses": statuses,
            "eventIds": event_ids,
            "additionalMetadata": metadata_texts(metadata),
            "scopes": scopes,
        }
