"""Limpet: a durable task engine for Python.

Names are loaded at first use, so that the engine and the command line start without the client's libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from limpet._version import __version__

if TYPE_CHECKING:
    from limpet.sdk.client import Hatchet as Hatchet
    from limpet.sdk.client import Limpet as Limpet
    from limpet.sdk.conditions import (
        Condition as Condition,
    )
    from limpet.sdk.conditions import (
        OrGroup as OrGroup,
    )
    from limpet.sdk.conditions import (
        ParentCondition as ParentCondition,
    )
    from limpet.sdk.conditions import (
        SleepCondition as SleepCondition,
    )
    from limpet.sdk.conditions import (
        UserEventCondition as UserEventCondition,
    )
    from limpet.sdk.conditions import (
        or_ as or_,
    )
    from limpet.sdk.config import (
        ClientConfig as ClientConfig,
    )
    from limpet.sdk.config import (
        ClientTLSConfig as ClientTLSConfig,
    )
    from limpet.sdk.config import (
        HealthcheckConfig as HealthcheckConfig,
    )
    from limpet.sdk.config import (
        OpenTelemetryConfig as OpenTelemetryConfig,
    )
    from limpet.sdk.config import (
        TenacityConfig as TenacityConfig,
    )
    from limpet.sdk.context import Context as Context
    from limpet.sdk.context import WorkerContext as WorkerContext
    from limpet.sdk.dependencies import Depends as Depends
    from limpet.sdk.engine_calls import RunStatus as RunStatus
    from limpet.sdk.event_options import BulkPushEventOptions as BulkPushEventOptions
    from limpet.sdk.event_options import BulkPushEventWithMetadata as BulkPushEventWithMetadata
    from limpet.sdk.event_options import PushEventOptions as PushEventOptions
    from limpet.sdk.exceptions import (
        BulkTriggerIdempotencyCollisionError as BulkTriggerIdempotencyCollisionError,
    )
    from limpet.sdk.exceptions import (
        DedupeViolationError as DedupeViolationError,
    )
    from limpet.sdk.exceptions import (
        EngineNotFoundError as EngineNotFoundError,
    )
    from limpet.sdk.exceptions import (
        FailedTaskRunExceptionGroup as FailedTaskRunExceptionGroup,
    )
    from limpet.sdk.exceptions import (
        IdempotencyCollisionError as IdempotencyCollisionError,
    )
    from limpet.sdk.exceptions import (
        NonRetryableException as NonRetryableException,
    )
    from limpet.sdk.exceptions import (
        RetryAfterException as RetryAfterException,
    )
    from limpet.sdk.exceptions import (
        TaskRunError as TaskRunError,
    )
    from limpet.sdk.features.cel import CELEvaluationResult as CELEvaluationResult
    from limpet.sdk.features.cel import CELFailure as CELFailure
    from limpet.sdk.features.cel import CELSuccess as CELSuccess
    from limpet.sdk.features.runs import BulkCancelReplayOpts as BulkCancelReplayOpts
    from limpet.sdk.features.runs import RunFilter as RunFilter
    from limpet.sdk.labels import (
        DesiredWorkerLabel as DesiredWorkerLabel,
    )
    from limpet.sdk.labels import (
        WorkerLabel as WorkerLabel,
    )
    from limpet.sdk.labels import (
        WorkerLabelComparator as WorkerLabelComparator,
    )
    from limpet.sdk.options import (
        ConcurrencyExpression as ConcurrencyExpression,
    )
    from limpet.sdk.options import (
        ConcurrencyLimitStrategy as ConcurrencyLimitStrategy,
    )
    from limpet.sdk.options import (
        DefaultFilter as DefaultFilter,
    )
    from limpet.sdk.options import (
        RateLimit as RateLimit,
    )
    from limpet.sdk.options import (
        RateLimitDuration as RateLimitDuration,
    )
    from limpet.sdk.options import (
        SlotType as SlotType,
    )
    from limpet.sdk.options import (
        StatusBasedIdempotencyConfig as StatusBasedIdempotencyConfig,
    )
    from limpet.sdk.options import (
        StickyStrategy as StickyStrategy,
    )
    from limpet.sdk.options import (
        TaskDefaults as TaskDefaults,
    )
    from limpet.sdk.options import (
        TTLBasedIdempotencyConfig as TTLBasedIdempotencyConfig,
    )
    from limpet.sdk.priority import Priority as Priority
    from limpet.sdk.rest.common import (
        APIError as APIError,
    )
    from limpet.sdk.rest.common import (
        APIErrors as APIErrors,
    )
    from limpet.sdk.rest.common import (
        APIResourceMeta as APIResourceMeta,
    )
    from limpet.sdk.rest.common import (
        PaginationResponse as PaginationResponse,
    )
    from limpet.sdk.rest.runs import V1TaskStatus as V1TaskStatus
    from limpet.sdk.rest.tenants import Tenant as Tenant
    from limpet.sdk.rest.webhooks import V1WebhookHMACAlgorithm as V1WebhookHMACAlgorithm
    from limpet.sdk.rest.webhooks import V1WebhookHMACEncoding as V1WebhookHMACEncoding
    from limpet.sdk.rest.webhooks import V1WebhookSourceName as V1WebhookSourceName
    from limpet.sdk.rest.workers import StepRunStatus as StepRunStatus
    from limpet.sdk.rest.workers import WorkerList as WorkerList
    from limpet.sdk.rest.workflows import (
        Job as Job,
    )
    from limpet.sdk.rest.workflows import (
        Workflow as Workflow,
    )
    from limpet.sdk.rest.workflows import (
        WorkflowList as WorkflowList,
    )
    from limpet.sdk.rest.workflows import (
        WorkflowTag as WorkflowTag,
    )
    from limpet.sdk.rest.workflows import (
        WorkflowTriggerCronRef as WorkflowTriggerCronRef,
    )
    from limpet.sdk.rest.workflows import (
        WorkflowTriggerEventRef as WorkflowTriggerEventRef,
    )
    from limpet.sdk.rest.workflows import (
        WorkflowTriggers as WorkflowTriggers,
    )
    from limpet.sdk.rest.workflows import (
        WorkflowVersion as WorkflowVersion,
    )
    from limpet.sdk.rest.workflows import (
        WorkflowVersionMeta as WorkflowVersionMeta,
    )
    from limpet.sdk.run_events import (
        RunEventListener as RunEventListener,
    )
    from limpet.sdk.run_events import (
        StepRunEventType as StepRunEventType,
    )
    from limpet.sdk.run_events import (
        WorkflowRunEventType as WorkflowRunEventType,
    )
    from limpet.sdk.run_reference import TaskRunRef as TaskRunRef
    from limpet.sdk.run_reference import WorkflowRunRef as WorkflowRunRef
    from limpet.sdk.serde import (
        EmptyModel as EmptyModel,
    )
    from limpet.sdk.serde import (
        is_in_hatchet_serialization_context as is_in_hatchet_serialization_context,
    )
    from limpet.sdk.serde import (
        remove_null_unicode_character as remove_null_unicode_character,
    )
    from limpet.sdk.standalone import Standalone as Standalone
    from limpet.sdk.task import Task as Task
    from limpet.sdk.telemetry.attributes import OTelAttribute as OTelAttribute
    from limpet.sdk.trigger_options import (
        ScheduleTriggerWorkflowOptions as ScheduleTriggerWorkflowOptions,
    )
    from limpet.sdk.trigger_options import (
        TriggerWorkflowOptions as TriggerWorkflowOptions,
    )
    from limpet.sdk.trigger_options import (
        WorkflowRunTriggerConfig as WorkflowRunTriggerConfig,
    )
    from limpet.sdk.worker import Worker as Worker
    from limpet.sdk.worker import WorkerStartOptions as WorkerStartOptions
    from limpet.sdk.worker import WorkerStatus as WorkerStatus
    from limpet.sdk.workflow_config import WorkflowConfig as WorkflowConfig

_HOMES: dict[str, tuple[str, ...]] = {
    "limpet.sdk.client": (
        "Hatchet",
        "Limpet",
    ),
    "limpet.sdk.conditions": (
        "Condition",
        "OrGroup",
        "ParentCondition",
        "SleepCondition",
        "UserEventCondition",
        "or_",
    ),
    "limpet.sdk.config": (
        "ClientConfig",
        "ClientTLSConfig",
        "HealthcheckConfig",
        "OpenTelemetryConfig",
        "TenacityConfig",
    ),
    "limpet.sdk.context": (
        "Context",
        "WorkerContext",
    ),
    "limpet.sdk.dependencies": ("Depends",),
    "limpet.sdk.engine_calls": ("RunStatus",),
    "limpet.sdk.exceptions": (
        "BulkTriggerIdempotencyCollisionError",
        "DedupeViolationError",
        "EngineNotFoundError",
        "FailedTaskRunExceptionGroup",
        "IdempotencyCollisionError",
        "NonRetryableException",
        "RetryAfterException",
        "TaskRunError",
    ),
    "limpet.sdk.event_options": (
        "BulkPushEventOptions",
        "BulkPushEventWithMetadata",
        "PushEventOptions",
    ),
    "limpet.sdk.features.cel": (
        "CELEvaluationResult",
        "CELFailure",
        "CELSuccess",
    ),
    "limpet.sdk.features.runs": (
        "BulkCancelReplayOpts",
        "RunFilter",
    ),
    "limpet.sdk.labels": (
        "DesiredWorkerLabel",
        "WorkerLabel",
        "WorkerLabelComparator",
    ),
    "limpet.sdk.options": (
        "ConcurrencyExpression",
        "ConcurrencyLimitStrategy",
        "DefaultFilter",
        "RateLimit",
        "RateLimitDuration",
        "SlotType",
        "StatusBasedIdempotencyConfig",
        "StickyStrategy",
        "TTLBasedIdempotencyConfig",
        "TaskDefaults",
    ),
    "limpet.sdk.priority": ("Priority",),
    "limpet.sdk.rest.common": (
        "APIError",
        "APIErrors",
        "APIResourceMeta",
        "PaginationResponse",
    ),
    "limpet.sdk.rest.runs": ("V1TaskStatus",),
    "limpet.sdk.rest.tenants": ("Tenant",),
    "limpet.sdk.rest.webhooks": (
        "V1WebhookHMACAlgorithm",
        "V1WebhookHMACEncoding",
        "V1WebhookSourceName",
    ),
    "limpet.sdk.rest.workers": (
        "StepRunStatus",
        "WorkerList",
    ),
    "limpet.sdk.rest.workflows": (
        "Job",
        "Workflow",
        "WorkflowList",
        "WorkflowTag",
        "WorkflowTriggerCronRef",
        "WorkflowTriggerEventRef",
        "WorkflowTriggers",
        "WorkflowVersion",
        "WorkflowVersionMeta",
    ),
    "limpet.sdk.run_events": (
        "RunEventListener",
        "StepRunEventType",
        "WorkflowRunEventType",
    ),
    "limpet.sdk.run_reference": (
        "TaskRunRef",
        "WorkflowRunRef",
    ),
    "limpet.sdk.serde": (
        "EmptyModel",
        "is_in_hatchet_serialization_context",
        "remove_null_unicode_character",
    ),
    "limpet.sdk.standalone": ("Standalone",),
    "limpet.sdk.task": ("Task",),
    "limpet.sdk.telemetry.attributes": ("OTelAttribute",),
    "limpet.sdk.trigger_options": (
        "ScheduleTriggerWorkflowOptions",
        "TriggerWorkflowOptions",
        "WorkflowRunTriggerConfig",
    ),
    "limpet.sdk.worker": (
        "Worker",
        "WorkerStartOptions",
        "WorkerStatus",
    ),
    "limpet.sdk.workflow_config": ("WorkflowConfig",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "APIError",
    "APIErrors",
    "APIResourceMeta",
    "BulkCancelReplayOpts",
    "BulkPushEventOptions",
    "BulkPushEventWithMetadata",
    "BulkTriggerIdempotencyCollisionError",
    "CELEvaluationResult",
    "CELFailure",
    "CELSuccess",
    "ClientConfig",
    "ClientTLSConfig",
    "ConcurrencyExpression",
    "ConcurrencyLimitStrategy",
    "Condition",
    "Context",
    "DedupeViolationError",
    "DefaultFilter",
    "Depends",
    "DesiredWorkerLabel",
    "EmptyModel",
    "EngineNotFoundError",
    "FailedTaskRunExceptionGroup",
    "Hatchet",
    "HealthcheckConfig",
    "IdempotencyCollisionError",
    "Job",
    "Limpet",
    "NonRetryableException",
    "OTelAttribute",
    "OpenTelemetryConfig",
    "OrGroup",
    "PaginationResponse",
    "ParentCondition",
    "Priority",
    "PushEventOptions",
    "RateLimit",
    "RateLimitDuration",
    "RetryAfterException",
    "RunEventListener",
    "RunFilter",
    "RunStatus",
    "ScheduleTriggerWorkflowOptions",
    "SleepCondition",
    "SlotType",
    "Standalone",
    "StatusBasedIdempotencyConfig",
    "StepRunEventType",
    "StepRunStatus",
    "StickyStrategy",
    "TTLBasedIdempotencyConfig",
    "Task",
    "TaskDefaults",
    "TaskRunError",
    "TaskRunRef",
    "TenacityConfig",
    "Tenant",
    "TriggerWorkflowOptions",
    "UserEventCondition",
    "V1TaskStatus",
    "V1WebhookHMACAlgorithm",
    "V1WebhookHMACEncoding",
    "V1WebhookSourceName",
    "Worker",
    "WorkerContext",
    "WorkerLabel",
    "WorkerLabelComparator",
    "WorkerList",
    "WorkerStartOptions",
    "WorkerStatus",
    "Workflow",
    "WorkflowConfig",
    "WorkflowList",
    "WorkflowRunEventType",
    "WorkflowRunRef",
    "WorkflowRunTriggerConfig",
    "WorkflowTag",
    "WorkflowTriggerCronRef",
    "WorkflowTriggerEventRef",
    "WorkflowTriggers",
    "WorkflowVersion",
    "WorkflowVersionMeta",
    "__version__",
    "is_in_hatchet_serialization_context",
    "or_",
    "remove_null_unicode_character",
]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'limpet' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
