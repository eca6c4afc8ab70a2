"""A standalone task: a workflow of one task that has the task's name, and gives the task's own output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from pydantic import TypeAdapter

from limpet.contracts import admin_pb2
from limpet.sdk.agent_tools import MCPProvider
from limpet.sdk.context import Context
from limpet.sdk.declaration import NO_INPUT, Declaration
from limpet.sdk.gathering import aio_gather_results, gather_results
from limpet.sdk.labels import DesiredWorkerLabel
from limpet.sdk.priority import Priority
from limpet.sdk.run_reference import TaskRunRef, WorkflowRunRef
from limpet.sdk.serde import load_output
from limpet.sdk.sticky_child import StickyTarget
from limpet.sdk.task import Task
from limpet.sdk.trigger_options import TriggerWorkflowOptions, WorkflowRunTriggerConfig, merged_options
from limpet.sdk.workflow import Workflow

TWorkflowInput = TypeVar("TWorkflowInput")
R = TypeVar("R")
I_co = TypeVar("I_co", covariant=True)
P = ParamSpec("P")


class Standalone(Declaration[TWorkflowInput], Generic[TWorkflowInput, R]):
    """A standalone task. Its run methods give the task's validated output."""

    def __init__(self, workflow: Workflow[TWorkflowInput], task_name: str, output_validator: TypeAdapter[R]) -> None:
        super().__init__(workflow.config, workflow.parts, workflow.input_validator_type, is_stub=workflow.is_stub)
        self.workflow = workflow
        self.task_name = task_name
        self.output_validator = output_validator

    @property
    def tasks(self) -> list[Task[TWorkflowInput, Any]]:
        """The one task; none for a stub."""
        return self.workflow.tasks

    @property
    def action_ids(self) -> list[str]:
        """The action that a worker offers when it carries this task."""
        return self.workflow.action_ids

    @property
    def output_validator_type(self) -> Any:
        """The declared output type."""
        return self._task.output_validator_type

    @property
    def fn(self) -> Callable[..., Any]:
        """The function."""
        return self._task.fn

    @property
    def is_async_function(self) -> bool:
        """Whether the function is a coroutine function."""
        return self._task.is_async_function

    @property
    def _task(self) -> Task[TWorkflowInput, R]:
        if not self.tasks:
            raise TypeError(f"{self.name!r} is a stub: its function lives elsewhere, only starting it works here.")
        return self.tasks[0]

    def to_proto(self) -> admin_pb2.CreateWorkflowVersionRequest:
        """The registration message."""
        return self.workflow.to_proto()

    def sticky_target(self) -> StickyTarget:
        """This task, as far as sticky children are concerned."""
        return self.workflow.sticky_target()

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
    ) -> R: ...
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
    ) -> TaskRunRef[TWorkflowInput, R]: ...
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
    ) -> R | TaskRunRef[TWorkflowInput, R]:
        """Start a run and block until it has ended.

        wait_for_result: False gives a reference at once
        returns:         the task's validated output
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
        ref = self._reference(self.workflow.start(input, merged))
        return ref.result() if wait_for_result else ref

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
    ) -> TaskRunRef[TWorkflowInput, R]:
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
        return self._reference(self.workflow.start(input, merged))

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
    ) -> R: ...
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
    ) -> TaskRunRef[TWorkflowInput, R]: ...
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
    ) -> R | TaskRunRef[TWorkflowInput, R]:
        """As `run`, awaited. A cancelled run gives whatever the task left instead of an error."""
        merged = merged_options(
            options,
            child_key=child_key,
            additional_metadata=additional_metadata,
            priority=priority,
            sticky=sticky,
            desired_worker_id=desired_worker_id,
            desired_worker_labels=desired_worker_labels,
        )
        ref = self._reference(await self.workflow.aio_start(input, merged))
        return await ref.aio_result() if wait_for_result else ref

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
    ) -> TaskRunRef[TWorkflowInput, R]:
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
        return self._reference(await self.workflow.aio_start(input, merged))

    @overload
    def run_many(
        self,
        workflows: list[WorkflowRunTriggerConfig],
        return_exceptions: Literal[False] = ...,
        wait_for_result: Literal[True] = ...,
    ) -> list[R]: ...
    @overload
    def run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: Literal[True], wait_for_result: Literal[True] = ...
    ) -> list[R | BaseException]: ...
    @overload
    def run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: bool = ..., *, wait_for_result: Literal[False]
    ) -> list[TaskRunRef[TWorkflowInput, R]]: ...
    def run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: bool = False, wait_for_result: bool = True
    ) -> Any:
        """Start many runs in bulk and block until all have ended. Outputs in the order of the items.

        return_exceptions: failures stand in the list in place of outputs; otherwise the first one is raised
        """
        refs = self.run_many_no_wait(workflows)
        return gather_results(refs, return_exceptions) if wait_for_result else refs

    def run_many_no_wait(self, workflows: list[WorkflowRunTriggerConfig]) -> list[TaskRunRef[TWorkflowInput, R]]:
        """Start many runs in bulk; references at once."""
        return [self._reference(ref) for ref in self.workflow.start_many(workflows)]

    @overload
    async def aio_run_many(
        self,
        workflows: list[WorkflowRunTriggerConfig],
        return_exceptions: Literal[False] = ...,
        wait_for_result: Literal[True] = ...,
    ) -> list[R]: ...
    @overload
    async def aio_run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: Literal[True], wait_for_result: Literal[True] = ...
    ) -> list[R | BaseException]: ...
    @overload
    async def aio_run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: bool = ..., *, wait_for_result: Literal[False]
    ) -> list[TaskRunRef[TWorkflowInput, R]]: ...
    async def aio_run_many(
        self, workflows: list[WorkflowRunTriggerConfig], return_exceptions: bool = False, wait_for_result: bool = True
    ) -> Any:
        """As `run_many`, awaited."""
        refs = await self.aio_run_many_no_wait(workflows)
        return await aio_gather_results(refs, return_exceptions) if wait_for_result else refs

    async def aio_run_many_no_wait(self, workflows: list[WorkflowRunTriggerConfig]) -> list[TaskRunRef[TWorkflowInput, R]]:
        """As `run_many_no_wait`, awaited."""
        return [self._reference(ref) for ref in await self.workflow.aio_start_many(workflows)]

    def get_run_ref(self, run_id: str) -> TaskRunRef[TWorkflowInput, R]:
        """A reference to a run that was started elsewhere."""
        return self._reference(self.workflow.reference(run_id))

    def get_result(self, run_id: str) -> R:
        """Wait for a run that was started elsewhere; its validated output."""
        return self.get_run_ref(run_id).result()

    async def aio_get_result(self, run_id: str) -> R:
        """As `get_result`, awaited."""
        return await self.get_run_ref(run_id).aio_result()

    def mcp_tool(self, provider: MCPProvider, **kwargs: Any) -> Any:
        """This task as a tool of an agent: a `FunctionTool` of openai-agents or an `SdkMcpTool` of claude-agent-sdk.

        kwargs: go to the tool's constructor
        errors: ValueError without a description or an input model, ImportError without that SDK's extra
        """
        return self.tool(self.aio_run, provider, kwargs)

    def mock_run(
        self,
        input: TWorkflowInput | None = None,
        additional_metadata: dict[str, Any] | None = None,
        parent_outputs: dict[str, dict[str, Any]] | None = None,
        retry_count: int = 0,
        lifespan: Any = None,
        dependencies: dict[str, Any] | None = None,
    ) -> R:
        """Call the function with a made-up context, for unit tests. Needs no engine. See `Task.mock_run`."""
        return self._task.mock_run(input, additional_metadata, parent_outputs, retry_count, lifespan, dependencies)

    async def aio_mock_run(
        self,
        input: TWorkflowInput | None = None,
        additional_metadata: dict[str, Any] | None = None,
        parent_outputs: dict[str, dict[str, Any]] | None = None,
        retry_count: int = 0,
        lifespan: Any = None,
        dependencies: dict[str, Any] | None = None,
    ) -> R:
        """As `mock_run`, for an async function."""
        return await self._task.aio_mock_run(input, additional_metadata, parent_outputs, retry_count, lifespan, dependencies)

    def _reference(self, ref: WorkflowRunRef) -> TaskRunRef[TWorkflowInput, R]:
        return TaskRunRef(ref, self._read_output)

    def _read_output(self, outputs: dict[str, Any]) -> R:
        return load_output(outputs.get(self.task_name), self.output_validator)


class StandaloneDecorator(Protocol[I_co]):
    """Turns a function into a `Standalone`, async or not."""

    @overload
    def __call__(self, fn: Callable[Concatenate[I_co, Context, P], Awaitable[R]], /) -> Standalone[Any, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[I_co, Context, P], R], /) -> Standalone[Any, R]: ...
