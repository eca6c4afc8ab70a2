"""A declared workflow: decorators that add tasks, and every way to start it. Outputs come by task name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast, overload

from limpet.sdk.agent_tools import MCPProvider
from limpet.sdk.conditions import Condition, OrGroup
from limpet.sdk.declaration import NO_INPUT, Declaration
from limpet.sdk.durations import Duration
from limpet.sdk.gathering import aio_gather_results, gather_results
from limpet.sdk.labels import DesiredLabels, DesiredWorkerLabel
from limpet.sdk.options import (
    ConcurrencyExpression,
    RateLimit,
)
from limpet.sdk.priority import Priority
from limpet.sdk.run_reference import WorkflowRunRef
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
from limpet.sdk.triggers import BULK_ITEMS_MAX, KEYED_BULK_ITEMS_MAX

TWorkflowInput = TypeVar("TWorkflowInput")


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

    def mcp_tool(self, provider: MCPProvider, **kwargs: Any) -> Any:
        """This workflow as a tool of an agent: a `FunctionTool` of openai-agents or an `SdkMcpTool` of claude-agent-sdk.

        kwargs: go to the tool's constructor
        errors: ValueError without a description or an input model, ImportError without that SDK's extra
        """
        return self.tool(self.aio_run, provider, kwargs)

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
        return [
            WorkflowRunRef(run_id, calls) for run_id in calls.trigger_many(self._requests(items), items_max=self._bulk_items_max)
        ]

    async def aio_start_many(self, items: Sequence[WorkflowRunTriggerConfig]) -> list[WorkflowRunRef]:
        """As `start_many`, awaited."""
        calls = self.parts.calls
        return [
            WorkflowRunRef(run_id, calls)
            for run_id in await calls.aio_trigger_many(self._requests(items), items_max=self._bulk_items_max)
        ]

    @property
    def _bulk_items_max(self) -> int:
        return BULK_ITEMS_MAX if self.config.idempotency is None else KEYED_BULK_ITEMS_MAX

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
