"""A declared workflow: its tasks, and every way to start it.

`Declaration` is what workflows and standalone tasks share: the definition, the registration message, the starting of
runs. `Workflow` adds decorators and gives outputs by task name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar, cast, overload

from pydantic import TypeAdapter

from limpet.contracts import admin_pb2, trigger_pb2
from limpet.sdk.conditions import Condition, OrGroup
from limpet.sdk.durations import Duration
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.runs import RunsClient
from limpet.sdk.features.workflows import QueueBehavior, WorkflowsClient
from limpet.sdk.gathering import aio_gather_results, gather_results
from limpet.sdk.labels import DesiredLabels, DesiredWorkerLabel
from limpet.sdk.options import (
    ConcurrencyExpression,
    RateLimit,
)
from limpet.sdk.priority import Priority, check_priority
from limpet.sdk.rest import workflows as rest_workflows
from limpet.sdk.rest.runs import V1TaskStatus, V1TaskSummary
from limpet.sdk.run_reference import WorkflowRunRef
from limpet.sdk.serde import EmptyModel, dump_input
from limpet.sdk.sticky_child import StickyTarget
from limpet.sdk.task import (
    DEFAULT_EXECUTION_TIMEOUT,
    DEFAULT_RETRIES,
    DEFAULT_SCHEDULE_TIMEOUT,
    StepType,
    Task,
    TaskDecorator,
    TaskOptions,
)
from limpet.sdk.trigger_options import TriggerWorkflowOptions, WorkflowRunTriggerConfig, merged_options
from limpet.sdk.triggers import trigger_request
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
        return workflow_proto(self.name, self.service_name, self.config, self._tasks, self.input_validator_type)

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


class Workflow(Declaration[TWorkflowInput]):
    """A workflow to which tasks are attached with decorators."""

    def task(
        self,
        name: str | None = None,
        schedule_timeout: Duration = DEFAULT_SCHEDULE_TIMEOUT,
        execution_timeout: Duration = DEFAULT_EXECUTION_TIMEOUT,
        parents: Sequence[Task[TWorkflowInput, Any]] | None = None,
        retries: int = DEFAULT_RETRIES,
        rate_limits: list[RateLimit] | None = None,
        desired_worker_labels: DesiredLabels | None = None,
        backoff_factor: float | None = None,
        backoff_max_seconds: int | None = None,
        concurrency: int | Sequence[ConcurrencyExpression] | None = None,
        wait_for: list[Condition | OrGroup] | None = None,
        skip_if: list[Condition | OrGroup] | None = None,
        cancel_if: list[Condition | OrGroup] | None = None,
        slot_cost: int | None = None,
    ) -> TaskDecorator[TWorkflowInput]:
        """Add a task.

        name:                  the function's name unless given
        schedule_timeout:      how long the task may wait for a worker
        execution_timeout:     how long one attempt may take
        parents:               tasks that must have ended well before this one starts
        retries:               further attempts after a failure
        backoff_factor:        waiting before retry n is factor^n seconds, at most `backoff_max_seconds`
        desired_worker_labels: what the task wants of its worker's labels
        slot_cost:             slots that the task takes of its worker
        """
        options = TaskOptions(
            schedule_timeout=schedule_timeout,
            execution_timeout=execution_timeout,
            parents=tuple(parents or ()),
            retries=retries,
            rate_limits=tuple(rate_limits or ()),
            desired_worker_labels=desired_worker_labels,
            backoff_factor=backoff_factor,
            backoff_max_seconds=backoff_max_seconds,
            concurrency=concurrency,
            wait_for=wait_for,
            skip_if=skip_if,
            cancel_if=cancel_if,
            slot_cost=slot_cost,
        )
        return self._decorator(name, StepType.DEFAULT, options)

    def on_failure_task(
        self,
        name: str | None = None,
        schedule_timeout: Duration = DEFAULT_SCHEDULE_TIMEOUT,
        execution_timeout: Duration = DEFAULT_EXECUTION_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        rate_limits: list[RateLimit] | None = None,
        backoff_factor: float | None = None,
        backoff_max_seconds: int | None = None,
        concurrency: int | Sequence[ConcurrencyExpression] | None = None,
    ) -> TaskDecorator[TWorkflowInput]:
        """Add the task that runs after any task of the run has failed. Only one is allowed."""
        options = TaskOptions(
            schedule_timeout=schedule_timeout,
            execution_timeout=execution_timeout,
            retries=retries,
            rate_limits=tuple(rate_limits or ()),
            backoff_factor=backoff_factor,
            backoff_max_seconds=backoff_max_seconds,
            concurrency=concurrency,
        )
        return self._decorator(name, StepType.ON_FAILURE, options)

    def on_success_task(
        self,
        name: str | None = None,
        schedule_timeout: Duration = DEFAULT_SCHEDULE_TIMEOUT,
        execution_timeout: Duration = DEFAULT_EXECUTION_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        rate_limits: list[RateLimit] | None = None,
        backoff_factor: float | None = None,
        backoff_max_seconds: int | None = None,
        concurrency: int | Sequence[ConcurrencyExpression] | None = None,
    ) -> TaskDecorator[TWorkflowInput]:
        """Add the task that runs after all others have ended well. Only one is allowed."""
        options = TaskOptions(
            schedule_timeout=schedule_timeout,
            execution_timeout=execution_timeout,
            retries=retries,
            rate_limits=tuple(rate_limits or ()),
            backoff_factor=backoff_factor,
            backoff_max_seconds=backoff_max_seconds,
            concurrency=concurrency,
        )
        return self._decorator(name, StepType.ON_SUCCESS, options)

    def add_task(self, task: Declaration[TWorkflowInput]) -> None:
        """Attach a standalone task, with its options, to this workflow."""
        for own in task.tasks:
            self._add(own.fn, own.name, StepType.DEFAULT, own.options)

    @overload
    def run(
        self,
        input: TWorkflowInput = ...,
        options: TriggerWorkflowOptions | None = ...,
        wait_for_result: Literal[True] = ...,
        child_key: str | None = ...,
        additional_metadata: Mapping[str, Any] | None = ...,
        priority: int | Priority | None = ...,
        sticky: bool = ...,
        desired_worker_id: str | None = ...,
        desired_worker_labels: list[DesiredWorkerLabel] | None = ...,
    ) -> dict[str, Any]: ...
    @overload
    def run(
        self,
        input: TWorkflowInput = ...,
        options: TriggerWorkflowOptions | None = ...,
        *,
        wait_for_result: Literal[False],
        child_key: str | None = ...,
        additional_metadata: Mapping[str, Any] | None = ...,
        priority: int | Priority | None = ...,
        sticky: bool = ...,
        desired_worker_id: str | None = ...,
        desired_worker_labels: list[DesiredWorkerLabel] | None = ...,
    ) -> WorkflowRunRef: ...
    def run(
        self,
        input: TWorkflowInput = NO_INPUT,
        options: TriggerWorkflowOptions | None = None,
        wait_for_result: bool = True,
        child_key: str | None = None,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | Priority | None = None,
        sticky: bool = False,
        desired_worker_id: str | None = None,
        desired_worker_labels: list[DesiredWorkerLabel] | None = None,
    ) -> dict[str, Any] | WorkflowRunRef:
        """Start a run and block until it has ended.

        wait_for_result: False gives a reference at once
        returns:         outputs by task name
        errors:          FailedTaskRunExceptionGroup for a failed run, ValueError for a cancelled one
        """
        merged = merged_options(
            options,
            child_key=child_key,
            additional_metadata=additional_metadata,
            priority=priority,
            sticky=sticky,
            desired_worker_id=desired_worker_id,
            desired_worker_labels=desired_worker_labels,
        )
        ref = self.start(input, merged)
        return ref.result() if wait_for_result else ref

    @overload
    async def aio_run(
        self,
        input: TWorkflowInput = ...,
        options: TriggerWorkflowOptions | None = ...,
        wait_for_result: Literal[True] = ...,
        child_key: str | None = ...,
        additional_metadata: Mapping[str, Any] | None = ...,
        priority: int | Priority | None = ...,
        sticky: bool = ...,
        desired_worker_id: str | None = ...,
        desired_worker_labels: list[DesiredWorkerLabel] | None = ...,
    ) -> dict[str, Any]: ...
    @overload
    async def aio_run(
        self,
        input: TWorkflowInput = ...,
        options: TriggerWorkflowOptions | None = ...,
        *,
        wait_for_result: Literal[False],
        child_key: str | None = ...,
        additional_metadata: Mapping[str, Any] | None = ...,
        priority: int | Priority | None = ...,
        sticky: bool = ...,
        desired_worker_id: str | None = ...,
        desired_worker_labels: list[DesiredWorkerLabel] | None = ...,
    ) -> WorkflowRunRef: ...
    async def aio_run(
        self,
        input: TWorkflowInput = NO_INPUT,
        options: TriggerWorkflowOptions | None = None,
        wait_for_result: bool = True,
        child_key: str | None = None,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | Priority | None = None,
        sticky: bool = False,
        desired_worker_id: str | None = None,
        desired_worker_labels: list[DesiredWorkerLabel] | None = None,
    ) -> dict[str, Any] | WorkflowRunRef:
        """As `run`, awaited. A cancelled run gives the outputs that exist instead of an error."""
        merged = merged_options(
            options,
            child_key=child_key,
            additional_metadata=additional_metadata,
            priority=priority,
            sticky=sticky,
            desired_worker_id=desired_worker_id,
            desired_worker_labels=desired_worker_labels,
        )
        ref = await self.aio_start(input, merged)
        return await ref.aio_result() if wait_for_result else ref

    def run_no_wait(
        self,
        input: TWorkflowInput = NO_INPUT,
        options: TriggerWorkflowOptions | None = None,
        child_key: str | None = None,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | Priority | None = None,
        sticky: bool = False,
        desired_worker_id: str | None = None,
        desired_worker_labels: list[DesiredWorkerLabel] | None = None,
    ) -> WorkflowRunRef:
        """Start a run; a reference at once. The older spelling of `run(wait_for_result=False)`."""
        merged = merged_options(
            options,
            child_key=child_key,
            additional_metadata=additional_metadata,
            priority=priority,
            sticky=sticky,
            desired_worker_id=desired_worker_id,
            desired_worker_labels=desired_worker_labels,
        )
        return self.start(input, merged)

    async def aio_run_no_wait(
        self,
        input: TWorkflowInput = NO_INPUT,
        options: TriggerWorkflowOptions | None = None,
        child_key: str | None = None,
        additional_metadata: Mapping[str, Any] | None = None,
        priority: int | Priority | None = None,
        sticky: bool = False,
        desired_worker_id: str | None = None,
        desired_worker_labels: list[DesiredWorkerLabel] | None = None,
    ) -> WorkflowRunRef:
        """As `run_no_wait`, awaited."""
        merged = merged_options(
            options,
            child_key=child_key,
            additional_metadata=additional_metadata,
            priority=priority,
            sticky=sticky,
            desired_worker_id=desired_worker_id,
            desired_worker_labels=desired_worker_labels,
        )
        return await self.aio_start(input, merged)

    @overload
    def run_many(
        self,
        workflows: list[WorkflowRunTriggerConfig],
        return_exceptions: Literal[False] = ...,
        wait_for_result: Literal[True] = ...,
    ) -> list[dict[str, Any]]: ...
    @overload
    def run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: Literal[True], wait_for_result: Literal[True] = ...
    ) -> list[dict[str, Any] | BaseException]: ...
    @overload
    def run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: bool = ..., *, wait_for_result: Literal[False]
    ) -> list[WorkflowRunRef]: ...
    def run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: bool = False, wait_for_result: bool = True
    ) -> Any:
        """Start many runs in bulk and block until all have ended. Results in the order of the items.

        return_exceptions: failures stand in the list in place of outputs; otherwise the first one is raised
        """
        refs = self.start_many(workflows)
        return gather_results(refs, return_exceptions) if wait_for_result else refs

    @overload
    async def aio_run_many(
        self,
        workflows: list[WorkflowRunTriggerConfig],
        return_exceptions: Literal[False] = ...,
        wait_for_result: Literal[True] = ...,
    ) -> list[dict[str, Any]]: ...
    @overload
    async def aio_run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: Literal[True], wait_for_result: Literal[True] = ...
    ) -> list[dict[str, Any] | BaseException]: ...
    @overload
    async def aio_run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: bool = ..., *, wait_for_result: Literal[False]
    ) -> list[WorkflowRunRef]: ...
    async def aio_run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: bool = False, wait_for_result: bool = True
    ) -> Any:
        """As `run_many`, awaited."""
        refs = await self.aio_start_many(workflows)
        return await aio_gather_results(refs, return_exceptions) if wait_for_result else refs

    def run_many_no_wait(self, workflows: list[WorkflowRunTriggerConfig]) -> list[WorkflowRunRef]:
        """Start many runs in bulk; references at once. The older spelling of `run_many(wait_for_result=False)`."""
        return self.start_many(workflows)

    async def aio_run_many_no_wait(self, workflows: list[WorkflowRunTriggerConfig]) -> list[WorkflowRunRef]:
        """As `run_many_no_wait`, awaited."""
        return await self.aio_start_many(workflows)

    def start(self, value: TWorkflowInput, options: TriggerWorkflowOptions) -> WorkflowRunRef:
        """Start a run with options that are merged already."""
        calls = self.parts.calls
        return WorkflowRunRef(calls.trigger(self._request(value, options)), calls)

    async def aio_start(self, value: TWorkflowInput, options: TriggerWorkflowOptions) -> WorkflowRunRef:
        """As `start`, awaited."""
        calls = self.parts.calls
        return WorkflowRunRef(await calls.aio_trigger(self._request(value, options)), calls)

    def start_many(self, items: Sequence[WorkflowRunTriggerConfig]) -> list[WorkflowRunRef]:
        """Start many runs."""
        calls = self.parts.calls
        return [WorkflowRunRef(run_id, calls) for run_id in calls.trigger_many(self._requests(items))]

    async def aio_start_many(self, items: Sequence[WorkflowRunTriggerConfig]) -> list[WorkflowRunRef]:
        """As `start_many`, awaited."""
        calls = self.parts.calls
        return [WorkflowRunRef(run_id, calls) for run_id in await calls.aio_trigger_many(self._requests(items))]

    def reference(self, run_id: str) -> WorkflowRunRef:
        """A reference to a run that was started elsewhere."""
        return WorkflowRunRef(run_id, self.parts.calls)

    def add_function(self, fn: Callable[..., Any], name: str, options: TaskOptions) -> Task[TWorkflowInput, Any]:
        """Add a function as a task, without a decorator."""
        return self._add(fn, name, StepType.DEFAULT, options)

    def _decorator(self, name: str | None, kind: StepType, options: TaskOptions) -> TaskDecorator[TWorkflowInput]:
        def decorate(fn: Callable[..., Any]) -> Task[Any, Any]:
            return self._add(fn, name, kind, options)

        return cast(TaskDecorator[TWorkflowInput], decorate)
