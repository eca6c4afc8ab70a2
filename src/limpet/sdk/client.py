"""The client: declares workflows and tasks, makes workers, and gives access to runs, workers, logs and counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast, overload

from pydantic import TypeAdapter
from typing_extensions import deprecated

from limpet.contracts import dispatcher_pb2
from limpet.sdk._transport import GET_VERSION
from limpet.sdk._worker.session import LifespanFn
from limpet.sdk.config import ClientConfig
from limpet.sdk.context import Context
from limpet.sdk.declaration import ClientParts, Declaration
from limpet.sdk.durations import Duration
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.cel import CELClient
from limpet.sdk.features.cron import CronClient
from limpet.sdk.features.events import EventClient
from limpet.sdk.features.filters import FiltersClient
from limpet.sdk.features.logs import LogsClient
from limpet.sdk.features.metrics import MetricsClient
from limpet.sdk.features.rate_limits import RateLimitsClient
from limpet.sdk.features.runs import RunsClient
from limpet.sdk.features.scheduled import ScheduledClient
from limpet.sdk.features.stubs import StubsClient
from limpet.sdk.features.webhooks import WebhooksClient
from limpet.sdk.features.workers import WorkersClient
from limpet.sdk.features.workflows import WorkflowsClient
from limpet.sdk.labels import DesiredLabels
from limpet.sdk.options import (
    Concurrency,
    DefaultFilter,
    Idempotency,
    RateLimit,
    SlotType,
    StickyStrategy,
    TaskDefaults,
)
from limpet.sdk.priority import Priority
from limpet.sdk.run_events import RunEventListenerClient
from limpet.sdk.run_variables import ctx_hatchet_context
from limpet.sdk.serde import EmptyModel
from limpet.sdk.standalone import Standalone, StandaloneDecorator
from limpet.sdk.task import DEFAULT_EXECUTION_TIMEOUT, DEFAULT_RETRIES, DEFAULT_SCHEDULE_TIMEOUT, TaskOptions
from limpet.sdk.worker import SLOTS_DEFAULT, Worker
from limpet.sdk.workflow import Workflow
from limpet.sdk.workflow_config import WorkflowConfig

TWorkflowInput = TypeVar("TWorkflowInput")
NO_DEFAULTS = TaskDefaults()


class Limpet:
    """The entry point. `Hatchet` is the same class under the name that moved code uses.

    debug:  more log lines from this package
    config: settings; read from the environment when left out
    """

    def __init__(self, debug: bool | None = None, client: EngineCalls | None = None, config: ClientConfig | None = None) -> None:
        calls = client or EngineCalls(config or ClientConfig())
        if debug if debug is not None else calls.config.debug:
            logging.getLogger("limpet").setLevel(logging.DEBUG)
        self._calls = calls
        self._parts = ClientParts(calls, RunsClient(calls), WorkflowsClient(calls), CronClient(calls), FiltersClient(calls))
        self._workers = WorkersClient(calls)
        self._scheduled = ScheduledClient(calls)
        self._rate_limits = RateLimitsClient(calls)
        self._event = EventClient(calls)
        self._webhooks = WebhooksClient(calls)
        self._logs = LogsClient(calls)
        self._metrics = MetricsClient(calls)
        self._cel = CELClient(calls)
        self._stubs = StubsClient(self._parts)
        self._listener = RunEventListenerClient(calls.transport)

    @property
    def config(self) -> ClientConfig:
        """The settings in use."""
        return self._calls.config

    @property
    def namespace(self) -> str:
        """The prefix of all names; empty, or a text that ends with an underscore."""
        return self.config.namespace

    @property
    def tenant_id(self) -> str:
        """The tenant that the token belongs to."""
        return self.config.tenant_id

    @property
    def runs(self) -> RunsClient:
        """List, inspect, cancel and replay runs."""
        return self._parts.runs

    @property
    def workers(self) -> WorkersClient:
        """See and steer workers."""
        return self._workers

    @property
    def workflows(self) -> WorkflowsClient:
        """See, pause and delete registered workflows."""
        return self._parts.workflows

    @property
    def cron(self) -> CronClient:
        """Make, see and delete crons."""
        return self._parts.cron

    @property
    def scheduled(self) -> ScheduledClient:
        """Plan runs for a point in time, move them, delete them."""
        return self._scheduled

    @property
    def rate_limits(self) -> RateLimitsClient:
        """Set, pause and see rate limits."""
        return self._rate_limits

    @property
    def event(self) -> EventClient:
        """Push events, and see what they started."""
        return self._event

    @property
    def filters(self) -> FiltersClient:
        """Make, see, change and delete filters of events."""
        return self._parts.filters

    @property
    def webhooks(self) -> WebhooksClient:
        """Make, see, change and delete addresses that take posts of other services as events."""
        return self._webhooks

    @property
    def logs(self) -> LogsClient:
        """Log lines of task runs."""
        return self._logs

    @property
    def metrics(self) -> MetricsClient:
        """How busy the tenant is."""
        return self._metrics

    @property
    def cel(self) -> CELClient:
        """Try expressions out."""
        return self._cel

    @property
    def stubs(self) -> StubsClient:
        """References to workflows and tasks that live elsewhere."""
        return self._stubs

    @property
    def listener(self) -> RunEventListenerClient:
        """Events of runs, as they happen."""
        return self._listener

    async def aio_get_engine_version(self) -> str | None:
        """The version that the engine reports; None when it reports none."""
        response = await self._calls.transport.acall(GET_VERSION, dispatcher_pb2.GetVersionRequest())
        return response.version or None

    @property
    def current_context(self) -> Context | None:
        """The context of the task that calls this; None outside a task."""
        return ctx_hatchet_context.get()

    @deprecated("use current_context")
    def get_current_context(self) -> Context | None:
        """The older spelling of `current_context`."""
        return self.current_context

    def worker(
        self,
        name: str,
        slots: int | None = None,
        durable_slots: int | None = None,
        labels: Mapping[str, str | int] | None = None,
        workflows: Sequence[Declaration[Any]] | None = None,
        lifespan: LifespanFn | None = None,
    ) -> Worker:
        """A worker that carries the given workflows.

        slots:    how many tasks it runs at once; 100 unless given
        labels:   what it is, for tasks that want a certain worker
        lifespan: an async generator function with one yield; what it yields is `ctx.lifespan`
        """
        if slots is not None and slots <= 0:
            raise ValueError(f"slots of worker {name!r} is {slots}, but a worker needs at least 1.")
        pools = {SlotType.DEFAULT.value: slots or SLOTS_DEFAULT}
        if durable_slots is not None:
            pools[SlotType.DURABLE.value] = durable_slots
        return Worker(name, self.config, pools, labels, workflows=workflows, lifespan=lifespan, calls=self._calls)

    @overload
    def workflow(
        self,
        *,
        name: str,
        description: str | None = ...,
        input_validator: None = ...,
        on_events: list[str] | None = ...,
        on_crons: list[str] | None = ...,
        cron_input: Any = ...,
        version: str | None = ...,
        sticky: StickyStrategy | None = ...,
        default_priority: int | Priority = ...,
        concurrency: Concurrency | None = ...,
        task_defaults: TaskDefaults = ...,
        default_filters: list[DefaultFilter] | None = ...,
        default_additional_metadata: dict[str, Any] | None = ...,
        idempotency: Idempotency | None = ...,
    ) -> Workflow[EmptyModel]: ...
    @overload
    def workflow(
        self,
        *,
        name: str,
        description: str | None = ...,
        input_validator: type[TWorkflowInput],
        on_events: list[str] | None = ...,
        on_crons: list[str] | None = ...,
        cron_input: TWorkflowInput | None = ...,
        version: str | None = ...,
        sticky: StickyStrategy | None = ...,
        default_priority: int | Priority = ...,
        concurrency: Concurrency | None = ...,
        task_defaults: TaskDefaults = ...,
        default_filters: list[DefaultFilter] | None = ...,
        default_additional_metadata: dict[str, Any] | None = ...,
        idempotency: Idempotency | None = ...,
    ) -> Workflow[TWorkflowInput]: ...
    def workflow(
        self,
        *,
        name: str,
        description: str | None = None,
        input_validator: type[Any] | None = None,
        on_events: list[str] | None = None,
        on_crons: list[str] | None = None,
        cron_input: Any = None,
        version: str | None = None,
        sticky: StickyStrategy | None = None,
        default_priority: int | Priority = Priority.LOW,
        concurrency: Concurrency | None = None,
        task_defaults: TaskDefaults = NO_DEFAULTS,
        default_filters: list[DefaultFilter] | None = None,
        default_additional_metadata: dict[str, Any] | None = None,
        idempotency: Idempotency | None = None,
    ) -> Workflow[Any]:
        """Declare a workflow, to which tasks are attached with its decorators.

        input_validator:  the input type: a pydantic model, dataclass, TypedDict or dict; EmptyModel when left out
        sticky:           whether the tasks of one run share a worker
        default_priority: 1 (low) to 3 (high)
        task_defaults:    options of tasks that do not set them
        """
        input_type = input_validator or EmptyModel
        config = WorkflowConfig(
            name=name,
            description=description,
            version=version,
            on_events=[self.config.apply_namespace(key) for key in on_events or []],
            on_crons=on_crons or [],
            cron_input=cron_input,
            sticky=sticky,
            concurrency=concurrency,
            input_validator=TypeAdapter(input_type),
            default_priority=default_priority,
            idempotency=idempotency,
            task_defaults=task_defaults,
            default_filters=default_filters or [],
            default_additional_metadata=default_additional_metadata or {},
        )
        return Workflow(config, self._parts, input_type)

    @overload
    def task(
        self,
        *,
        name: str | None = ...,
        description: str | None = ...,
        input_validator: None = ...,
        on_events: list[str] | None = ...,
        on_crons: list[str] | None = ...,
        cron_input: Any = ...,
        version: str | None = ...,
        sticky: StickyStrategy | None = ...,
        default_priority: int | Priority = ...,
        concurrency: Concurrency | None = ...,
        schedule_timeout: Duration = ...,
        execution_timeout: Duration = ...,
        retries: int = ...,
        rate_limits: list[RateLimit] | None = ...,
        desired_worker_labels: DesiredLabels | None = ...,
        backoff_factor: float | None = ...,
        backoff_max_seconds: int | None = ...,
        default_filters: list[DefaultFilter] | None = ...,
        default_additional_metadata: dict[str, Any] | None = ...,
        slot_cost: int | None = ...,
        idempotency: Idempotency | None = ...,
    ) -> StandaloneDecorator[EmptyModel]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = ...,
        description: str | None = ...,
        input_validator: type[TWorkflowInput],
        on_events: list[str] | None = ...,
        on_crons: list[str] | None = ...,
        cron_input: TWorkflowInput | None = ...,
        version: str | None = ...,
        sticky: StickyStrategy | None = ...,
        default_priority: int | Priority = ...,
        concurrency: Concurrency | None = ...,
        schedule_timeout: Duration = ...,
        execution_timeout: Duration = ...,
        retries: int = ...,
        rate_limits: list[RateLimit] | None = ...,
        desired_worker_labels: DesiredLabels | None = ...,
        backoff_factor: float | None = ...,
        backoff_max_seconds: int | None = ...,
        default_filters: list[DefaultFilter] | None = ...,
        default_additional_metadata: dict[str, Any] | None = ...,
        slot_cost: int | None = ...,
        idempotency: Idempotency | None = ...,
    ) -> StandaloneDecorator[TWorkflowInput]: ...
    def task(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        input_validator: type[Any] | None = None,
        on_events: list[str] | None = None,
        on_crons: list[str] | None = None,
        cron_input: Any = None,
        version: str | None = None,
        sticky: StickyStrategy | None = None,
        default_priority: int | Priority = Priority.LOW,
        concurrency: Concurrency | None = None,
        schedule_timeout: Duration = DEFAULT_SCHEDULE_TIMEOUT,
        execution_timeout: Duration = DEFAULT_EXECUTION_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        rate_limits: list[RateLimit] | None = None,
        desired_worker_labels: DesiredLabels | None = None,
        backoff_factor: float | None = None,
        backoff_max_seconds: int | None = None,
        default_filters: list[DefaultFilter] | None = None,
        default_additional_metadata: dict[str, Any] | None = None,
        slot_cost: int | None = None,
        idempotency: Idempotency | None = None,
    ) -> StandaloneDecorator[Any]:
        """Declare a standalone task: a workflow of one task with the task's name.

        Options as of `workflow` and of `Workflow.task`.
        """
        options = TaskOptions(
            schedule_timeout=schedule_timeout,
            execution_timeout=execution_timeout,
            retries=retries,
            rate_limits=tuple(rate_limits or ()),
            desired_worker_labels=desired_worker_labels,
            backoff_factor=backoff_factor,
            backoff_max_seconds=backoff_max_seconds,
            concurrency=concurrency,
            slot_cost=slot_cost,
        )

        def decorate(fn: Callable[..., Any]) -> Standalone[Any, Any]:
            workflow: Workflow[Any] = self.workflow(
                name=name or fn.__name__,
                description=description,
                input_validator=input_validator or EmptyModel,
                on_events=on_events,
                on_crons=on_crons,
                cron_input=cron_input,
                version=version,
                sticky=sticky,
                default_priority=default_priority,
                default_filters=default_filters,
                default_additional_metadata=default_additional_metadata,
                idempotency=idempotency,
            )
            task = workflow.add_function(fn, name or fn.__name__, options)
            return Standalone(workflow, task.name, task.output_validator)

        return cast("StandaloneDecorator[Any]", decorate)


Hatchet = Limpet
