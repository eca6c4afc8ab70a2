"""What workflows and standalone tasks share: the definition, the registration message, the starting of runs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from limpet.contracts import admin_pb2, trigger_pb2, workflows_pb2
from limpet.sdk.agent_tools import MCPProvider, ToolSource, agent_tool
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.cron import CronClient
from limpet.sdk.features.filters import FiltersClient
from limpet.sdk.features.runs import RunsClient
from limpet.sdk.features.scheduled import in_utc
from limpet.sdk.features.workflows import QueueBehavior, WorkflowsClient
from limpet.sdk.labels import DesiredWorkerLabel
from limpet.sdk.priority import Priority, check_priority
from limpet.sdk.rest import workflows as rest_workflows
from limpet.sdk.rest.crons import CronWorkflows
from limpet.sdk.rest.events import V1Filter
from limpet.sdk.rest.runs import V1TaskStatus, V1TaskSummary
from limpet.sdk.serde import EmptyModel, JSONSerializableMapping, dump_input
from limpet.sdk.sticky_child import StickyTarget
from limpet.sdk.task import (
    StepType,
    Task,
    TaskOptions,
)
from limpet.sdk.trigger_options import (
    ScheduleTriggerWorkflowOptions,
    TriggerWorkflowOptions,
    WorkflowRunTriggerConfig,
    merged_options,
    merged_schedule_options,
)
from limpet.sdk.triggers import schedule_request, trigger_request
from limpet.sdk.workflow_config import WorkflowConfig
from limpet.sdk.workflow_proto import workflow_proto

TWorkflowInput = TypeVar("TWorkflowInput")
NO_INPUT: Any = EmptyModel()

_SUFFIXES = {StepType.DEFAULT: "", StepType.ON_FAILURE: "-on-failure", StepType.ON_SUCCESS: "-on-success"}


@dataclass(frozen=True, slots=True)
class ClientParts:
    """What a declaration needs of the client that declared it."""

    calls: EngineCalls
    runs: RunsClient
    workflows: WorkflowsClient
    cron: CronClient
    filters: FiltersClient


class Declaration(Generic[TWorkflowInput]):
    """What workflows and standalone tasks have in common."""

    def __init__(
        self, config: WorkflowConfig, parts: ClientParts, input_type: type[TWorkflowInput], *, is_stub: bool = False
    ) -> None:
        check_priority(config.default_priority, what=f"default_priority of {config.name!r}")
        self.config = config
        self.is_stub = is_stub
        self.input_validator_type = input_type
        self.parts = parts
        self._tasks: list[Task[TWorkflowInput, Any]] = []

    @property
    def name(self) -> str:
        """The workflow's name, with the namespace in front."""
        return self.parts.calls.config.namespace + self.config.name

    @property
    def service_name(self) -> str:
        """The left part of the workflow's action ids."""
        return self.name.lower()

    @property
    def id(self) -> str:
        """The workflow's id. Asks the engine; raises ValueError before a worker has registered the workflow."""
        return self.parts.workflows.id_of(self.name)

    @property
    def tasks(self) -> list[Task[TWorkflowInput, Any]]:
        """All declared tasks, the on-failure and on-success ones included."""
        return list(self._tasks)

    @property
    def input_validator(self) -> TypeAdapter[TWorkflowInput]:
        """Reads and writes the workflow's input."""
        return self.config.input_validator

    @property
    def action_ids(self) -> list[str]:
        """The actions that a worker offers when it carries this workflow."""
        return [f"{self.service_name}:{task.name}" for task in self._tasks]

    def to_proto(self) -> admin_pb2.CreateWorkflowVersionRequest:
        """The registration message."""
        wire = workflow_proto(self.name, self.service_name, self.config, self._tasks, self.input_validator_type)
        for condition in (one for task in wire.tasks for one in task.conditions.user_event_conditions):
            condition.user_event_key = self.parts.calls.config.apply_namespace(condition.user_event_key)  # as pushes do (W1.2)
        return wire

    def tool(self, run: Callable[[TWorkflowInput], Awaitable[Any]], provider: MCPProvider, options: Mapping[str, Any]) -> Any:
        """A tool for an agent SDK that starts a run by `run`."""
        described = self.config.description
        source = ToolSource(self.name, described, self.input_validator_type, self.input_validator, run)
        return agent_tool(source, provider, options)

    def create_bulk_run_item(
        self,
        input: TWorkflowInput = NO_INPUT,
        key: str | None = None,
        options: TriggerWorkflowOptions | None = None,
        child_key: str | None = None,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | Priority | None = None,
        desired_worker_id: str | None = None,
        sticky: bool = False,
        desired_worker_labels: list[DesiredWorkerLabel] | None = None,
    ) -> WorkflowRunTriggerConfig:
        """One item for `run_many`."""
        merged = merged_options(
            options,
            child_key=child_key,
            additional_metadata=additional_metadata,
            priority=priority,
            sticky=sticky,
            desired_worker_id=desired_worker_id,
            desired_worker_labels=desired_worker_labels,
        )
        text = dump_input(input, self.input_validator)
        return WorkflowRunTriggerConfig(workflow_name=self.name, input=text, options=merged, key=key)

    def schedule(
        self,
        run_at: datetime,
        input: TWorkflowInput = NO_INPUT,
        options: ScheduleTriggerWorkflowOptions | None = None,
        child_key: str | None = None,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | None = None,
    ) -> workflows_pb2.WorkflowVersion:
        """Plan one run; a past time starts it at once. Its id is `scheduled_workflows[0].id` of the answer."""
        merged = merged_schedule_options(options, child_key, additional_metadata, priority)
        return self.parts.calls.schedule(self._schedule_request(run_at, input, merged))

    async def aio_schedule(
        self,
        run_at: datetime,
        input: TWorkflowInput = NO_INPUT,
        options: ScheduleTriggerWorkflowOptions | None = None,
        child_key: str | None = None,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | None = None,
    ) -> workflows_pb2.WorkflowVersion:
        """As `schedule`."""
        merged = merged_schedule_options(options, child_key, additional_metadata, priority)
        return await self.parts.calls.aio_schedule(self._schedule_request(run_at, input, merged))

    def create_cron(
        self,
        cron_name: str,
        expression: str,
        input: TWorkflowInput = NO_INPUT,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | Priority | None = None,
    ) -> CronWorkflows:
        """A named cron of this workflow, which must be registered. Raises ValueError for an expression that cannot be read."""
        metadata, data = dict(additional_metadata or {}), json.loads(dump_input(input, self.input_validator))
        return self.parts.cron.create(self.name, cron_name, expression, data, metadata, priority)

    async def aio_create_cron(
        self,
        cron_name: str,
        expression: str,
        input: TWorkflowInput = NO_INPUT,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | Priority | None = None,
    ) -> CronWorkflows:
        """As `create_cron`."""
        metadata, data = dict(additional_metadata or {}), json.loads(dump_input(input, self.input_validator))
        return await self.parts.cron.aio_create(self.name, cron_name, expression, data, metadata, priority)

    def create_filter(self, expression: str, scope: str, payload: JSONSerializableMapping | None = None) -> V1Filter:
        """A filter of the events that start this workflow, which must be registered."""
        return self.parts.filters.create(self.id, expression, scope, payload)

    async def aio_create_filter(self, expression: str, scope: str, payload: JSONSerializableMapping | None = None) -> V1Filter:
        """As `create_filter`."""
        return await self.parts.filters.aio_create(self.id, expression, scope, payload)

    def list_runs(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        offset: int | None = None,
        statuses: list[V1TaskStatus] | None = None,
        additional_metadata: dict[str, str] | None = None,
        worker_id: str | None = None,
        parent_task_external_id: str | None = None,
        only_tasks: bool = False,
        triggering_event_external_id: str | None = None,
    ) -> list[V1TaskSummary]:
        """Runs of this workflow, newest first. `since` is a day ago unless given."""
        return self.parts.runs.list(
            workflow_ids=[self.id],
            since=since,
            only_tasks=only_tasks,
            offset=offset,
            limit=limit,
            statuses=statuses,
            until=until,
            additional_metadata=additional_metadata,
            worker_id=worker_id,
            parent_task_external_id=parent_task_external_id,
            triggering_event_external_id=triggering_event_external_id,
        ).rows

    async def aio_list_runs(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        offset: int | None = None,
        statuses: list[V1TaskStatus] | None = None,
        additional_metadata: dict[str, str] | None = None,
        worker_id: str | None = None,
        parent_task_external_id: str | None = None,
        only_tasks: bool = False,
        triggering_event_external_id: str | None = None,
    ) -> list[V1TaskSummary]:
        """As `list_runs`."""
        runs = await self.parts.runs.aio_list(
            workflow_ids=[await self.parts.workflows.aio_id_of(self.name)],
            since=since,
            only_tasks=only_tasks,
            offset=offset,
            limit=limit,
            statuses=statuses,
            until=until,
            additional_metadata=additional_metadata,
            worker_id=worker_id,
            parent_task_external_id=parent_task_external_id,
            triggering_event_external_id=triggering_event_external_id,
        )
        return runs.rows

    def delete(self) -> None:
        """Delete the workflow at the engine."""
        self.parts.workflows.delete(self.id)

    async def aio_delete(self) -> None:
        """As `delete`."""
        await self.parts.workflows.aio_delete(await self.parts.workflows.aio_id_of(self.name))

    def pause(
        self,
        queue_ttl: timedelta,
        paused_workflow_cron_run_queue_behavior: QueueBehavior = "QUEUE",
        paused_workflow_scheduled_run_queue_behavior: QueueBehavior = "QUEUE",
    ) -> rest_workflows.Workflow:
        """Stop starting this workflow's runs; those that wait longer than `queue_ttl` are cancelled."""
        crons, schedules = paused_workflow_cron_run_queue_behavior, paused_workflow_scheduled_run_queue_behavior
        return self.parts.workflows.pause(self.id, queue_ttl, crons, schedules)

    async def aio_pause(
        self,
        queue_ttl: timedelta,
        paused_workflow_cron_run_queue_behavior: QueueBehavior = "QUEUE",
        paused_workflow_scheduled_run_queue_behavior: QueueBehavior = "QUEUE",
    ) -> rest_workflows.Workflow:
        """As `pause`."""
        crons, schedules = paused_workflow_cron_run_queue_behavior, paused_workflow_scheduled_run_queue_behavior
        workflow_id = await self.parts.workflows.aio_id_of(self.name)
        return await self.parts.workflows.aio_pause(workflow_id, queue_ttl, crons, schedules)

    def unpause(self) -> rest_workflows.Workflow:
        """Start this workflow's runs again."""
        return self.parts.workflows.unpause(self.id)

    async def aio_unpause(self) -> rest_workflows.Workflow:
        """As `unpause`."""
        return await self.parts.workflows.aio_unpause(await self.parts.workflows.aio_id_of(self.name))

    def sticky_target(self) -> StickyTarget:
        """This workflow, as far as sticky children are concerned."""
        return StickyTarget(
            self.name,
            not self.is_stub,
            self.config.sticky is not None,
            frozenset() if self.is_stub else frozenset(self.action_ids),
        )

    def _request(self, value: TWorkflowInput, options: TriggerWorkflowOptions) -> trigger_pb2.TriggerWorkflowRequest:
        text = dump_input(value, self.input_validator)
        metadata = self.config.default_additional_metadata
        return trigger_request(self._target(options), text, options, default_metadata=metadata)

    def _schedule_request(
        self, run_at: datetime, value: TWorkflowInput, options: ScheduleTriggerWorkflowOptions
    ) -> workflows_pb2.ScheduleWorkflowRequest:
        name = self.name if options.namespace is None else options.namespace + self.config.name
        metadata = self.config.default_additional_metadata
        return schedule_request(name, in_utc(run_at), dump_input(value, self.input_validator), options, default_metadata=metadata)

    def _requests(self, items: Sequence[WorkflowRunTriggerConfig]) -> list[trigger_pb2.TriggerWorkflowRequest]:
        """The messages of a bulk; every item is checked before the first is sent."""
        return [self._bulk_request(item) for item in items]

    def _bulk_request(self, item: WorkflowRunTriggerConfig) -> trigger_pb2.TriggerWorkflowRequest:
        is_own = item.workflow_name == self.name
        target = self._target(item.options) if is_own else StickyTarget(item.workflow_name)
        metadata = self.config.default_additional_metadata if is_own else None
        return trigger_request(target, item.input or "{}", item.options, default_metadata=metadata)

    def _target(self, options: TriggerWorkflowOptions) -> StickyTarget:
        target = self.sticky_target()
        if options.namespace is None:
            return target
        name = options.namespace + self.config.name
        return StickyTarget(name, target.is_declared_here, target.is_sticky, frozenset())

    def _add(self, fn: Callable[..., Any], name: str | None, kind: StepType, options: TaskOptions) -> Task[Any, Any]:
        self._check_only_one(kind)
        task: Task[TWorkflowInput, Any] = Task(
            fn,
            name=(name or fn.__name__).lower() + _SUFFIXES[kind],
            kind=kind,
            workflow_name=self.name,
            input_validator=self.input_validator,
            options=options.with_defaults(self.config.task_defaults),
        )
        self._tasks.append(task)
        return task

    def _check_only_one(self, kind: StepType) -> None:
        if kind is not StepType.DEFAULT and any(task.type is kind for task in self._tasks):
            raise ValueError(f"Workflow {self.name!r} has an {kind.value} task already; only one is allowed.")
