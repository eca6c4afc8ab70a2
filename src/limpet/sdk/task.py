"""A declared task: its function, its options, and how to run it without an engine."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from pydantic import TypeAdapter

from limpet.contracts import admin_pb2
from limpet.sdk.conditions import Conditions, check_data_keys
from limpet.sdk.context import Context
from limpet.sdk.dependencies import Dependency, annotations_of, find_dependencies, resolve, resolve_sync
from limpet.sdk.durations import Duration, as_timedelta, duration_text
from limpet.sdk.labels import DesiredLabels, DesiredWorkerLabel, desired_labels_by_key
from limpet.sdk.mock_context import MockRun, mock_context
from limpet.sdk.options import Concurrency, ConcurrencyExpression, RateLimit, SlotType, TaskDefaults, concurrency_list
from limpet.sdk.serde import EmptyModel, load_input
from limpet.sdk.task_proto import TaskDeclaration, task_proto

DEFAULT_SCHEDULE_TIMEOUT = timedelta(minutes=5)
DEFAULT_EXECUTION_TIMEOUT = timedelta(seconds=60)
DEFAULT_RETRIES = 0

TWorkflowInput = TypeVar("TWorkflowInput")
R = TypeVar("R")
I_co = TypeVar("I_co", covariant=True)
P = ParamSpec("P")


class StepType(StrEnum):
    """The role of a task inside its workflow."""

    DEFAULT = "default"
    ON_FAILURE = "on_failure"
    ON_SUCCESS = "on_success"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What a decorator was given. Names and meanings as of `Workflow.task`."""

    schedule_timeout: Duration = DEFAULT_SCHEDULE_TIMEOUT
    execution_timeout: Duration = DEFAULT_EXECUTION_TIMEOUT
    parents: tuple[Task[Any, Any], ...] = ()
    retries: int = DEFAULT_RETRIES
    rate_limits: tuple[RateLimit, ...] = ()
    desired_worker_labels: DesiredLabels | None = None
    backoff_factor: float | None = None
    backoff_max_seconds: int | None = None
    concurrency: Concurrency | None = None
    wait_for: Conditions | None = None
    skip_if: Conditions | None = None
    cancel_if: Conditions | None = None
    slot_cost: int | None = None

    def with_defaults(self, defaults: TaskDefaults) -> TaskOptions:
        """Options that still have their built-in value take the workflow's default (W2.11)."""
        fallbacks: dict[str, Any] = {
            "schedule_timeout": (DEFAULT_SCHEDULE_TIMEOUT, defaults.schedule_timeout),
            "execution_timeout": (DEFAULT_EXECUTION_TIMEOUT, defaults.execution_timeout),
            "retries": (DEFAULT_RETRIES, defaults.retries),
            "backoff_factor": (None, defaults.backoff_factor),
            "backoff_max_seconds": (None, defaults.backoff_max_seconds),
        }
        update = {
            name: fallback
            for name, (built_in, fallback) in fallbacks.items()
            if fallback is not None and _same(getattr(self, name), built_in)
        }
        return replace(self, **update)


class Task(Generic[TWorkflowInput, R]):
    """A declared task. Made by the decorators of a workflow; named by other tasks as a parent."""

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str,
        kind: StepType,
        workflow_name: str,
        input_validator: TypeAdapter[TWorkflowInput],
        options: TaskOptions,
    ) -> None:
        _check(name, options)
        self.fn = fn
        self.name = name
        self.type = kind
        self.workflow_name = workflow_name
        self.input_validator = input_validator
        self.parents: list[Task[Any, Any]] = list(options.parents)
        self.retries: int = options.retries
        self.is_durable = False
        self.is_async_function: bool = inspect.iscoroutinefunction(fn)
        self.desired_worker_labels: dict[str, DesiredWorkerLabel] = desired_labels_by_key(options.desired_worker_labels)
        self.concurrency: list[ConcurrencyExpression] = concurrency_list(options.concurrency)
        self.slot_requests: dict[str, int] = {SlotType.DEFAULT.value: options.slot_cost or 1}
        self.options = options
        self.dependencies: tuple[Dependency, ...] = find_dependencies(fn)
        self.output_validator_type = cast("type[R]", _output_type(fn))
        self.output_validator: TypeAdapter[R] = TypeAdapter(self.output_validator_type)

    def to_proto(self, service_name: str) -> admin_pb2.CreateTaskOpts:
        """The task's part of the registration message."""
        options = self.options
        return task_proto(
            TaskDeclaration(
                name=self.name,
                service_name=service_name,
                parents=tuple(parent.name for parent in self.parents),
                schedule_timeout=duration_text(options.schedule_timeout, what="schedule_timeout"),
                execution_timeout=duration_text(options.execution_timeout, what="execution_timeout"),
                retries=options.retries,
                backoff_factor=options.backoff_factor,
                backoff_max_seconds=options.backoff_max_seconds,
                rate_limits=options.rate_limits,
                labels=self.desired_worker_labels,
                concurrency=tuple(self.concurrency),
                wait_for=options.wait_for or (),
                skip_if=options.skip_if or (),
                cancel_if=options.cancel_if or (),
                slot_requests=self.slot_requests,
            )
        )

    def call(self, ctx: Context, dependencies: Mapping[str, Any] | None = None) -> R:
        """Run the function in this thread. Raises TypeError for an async function."""
        if self.is_async_function:
            raise TypeError(f"Task {self.name!r} is async. Use aio_call.")
        with ExitStack() as stack:
            value = self.read_input(ctx)
            extra = resolve_sync(self.dependencies, dependencies or {}, value, ctx, stack)
            return cast(R, self.fn(value, ctx, **extra))

    async def aio_call(self, ctx: Context, dependencies: Mapping[str, Any] | None = None) -> R:
        """Run the async function in the running event loop. Raises TypeError for a sync function."""
        if not self.is_async_function:
            raise TypeError(f"Task {self.name!r} is not async. Use call.")
        async with AsyncExitStack() as stack:
            value = self.read_input(ctx)
            extra = await resolve(self.dependencies, dependencies or {}, value, ctx, stack)
            return cast(R, await self.fn(value, ctx, **extra))

    async def call_in_thread(self, ctx: Context, run: Callable[[Callable[[], Any]], Awaitable[Any]]) -> R:
        """Run the sync function by way of `run`, which hands a callable to a thread.

        Async dependencies are resolved in the event loop; when all are sync, they are resolved in the thread.
        """
        if all(dependency.is_sync for dependency in self.dependencies):
            return cast(R, await run(lambda: self.call(ctx)))
        async with AsyncExitStack() as stack:
            value = self.read_input(ctx)
            extra = await resolve(self.dependencies, {}, value, ctx, stack)
            return cast(R, await run(lambda: self.fn(value, ctx, **extra)))

    def read_input(self, ctx: Context) -> TWorkflowInput:
        """The validated input of the run. Raises pydantic's ValidationError."""
        return load_input(ctx.raw_input, self.input_validator)

    def mock_run(
        self,
        input: TWorkflowInput | None = None,
        additional_metadata: dict[str, Any] | None = None,
        parent_outputs: dict[str, dict[str, Any]] | None = None,
        retry_count: int = 0,
        lifespan: Any = None,
        dependencies: dict[str, Any] | None = None,
    ) -> R:
        """Call the function with a made-up context, for unit tests. Needs no engine.

        parent_outputs: outputs by task name, for `ctx.task_output`
        dependencies:   values by parameter name, in place of what `Depends` would supply
        errors:         TypeError for an async function
        """
        if self.is_async_function:
            raise TypeError(f"Task {self.name!r} is async. Use aio_mock_run.")
        run = MockRun(additional_metadata or {}, parent_outputs or {}, retry_count, lifespan)
        return self.call(self._mock_context(input, run), dependencies)

    async def aio_mock_run(
        self,
        input: TWorkflowInput | None = None,
        additional_metadata: dict[str, Any] | None = None,
        parent_outputs: dict[str, dict[str, Any]] | None = None,
        retry_count: int = 0,
        lifespan: Any = None,
        dependencies: dict[str, Any] | None = None,
    ) -> R:
        """As `mock_run`, for an async function. Raises TypeError for a sync one."""
        if not self.is_async_function:
            raise TypeError(f"Task {self.name!r} is not async. Use mock_run.")
        run = MockRun(additional_metadata or {}, parent_outputs or {}, retry_count, lifespan)
        return await self.aio_call(self._mock_context(input, run), dependencies)

    def _mock_context(self, value: TWorkflowInput | None, run: MockRun) -> Context:
        return mock_context(
            run,
            value=value,
            adapter=self.input_validator,
            task_name=self.name,
            workflow_name=self.workflow_name,
            max_attempts=self.retries + 1,
        )


class TaskDecorator(Protocol[I_co]):
    """Turns a function into a `Task`, async or not."""

    @overload
    def __call__(self, fn: Callable[Concatenate[I_co, Context, P], Awaitable[R]], /) -> Task[Any, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[I_co, Context, P], R], /) -> Task[Any, R]: ...


def _check(name: str, options: TaskOptions) -> None:
    """Refuse what the engine would refuse, where the author can see the line."""
    duration_text(options.schedule_timeout, what=f"schedule_timeout of task {name!r}")
    duration_text(options.execution_timeout, what=f"execution_timeout of task {name!r}")
    if options.retries < 0:
        raise ValueError(f"retries of task {name!r} is {options.retries}, but it must not be negative.")
    if options.slot_cost is not None and options.slot_cost <= 0:
        raise ValueError(f"slot_cost of task {name!r} is {options.slot_cost}, but a task takes at least 1 slot.")
    check_data_keys(name, options.wait_for, options.skip_if, options.cancel_if)


def _output_type(fn: Callable[..., Any]) -> Any:
    """The declared output type; an open model when none is declared or the task returns nothing."""
    declared = annotations_of(fn).get("return")
    return EmptyModel if declared is None or declared is type(None) else declared


def _same(value: Any, built_in: Any) -> bool:
    if isinstance(value, str) and isinstance(built_in, timedelta):
        return as_timedelta(value) == built_in
    return bool(value == built_in)
