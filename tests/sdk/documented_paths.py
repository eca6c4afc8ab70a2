"""Import paths below the package that the official documentation and its examples use, and the names they take from each."""

from __future__ import annotations

DOCUMENTED: dict[str, tuple[str, ...]] = {
    "clients.admin": ("WorkflowRunDetail",),
    "clients.events": (
        "BulkPushEventWithMetadata",
        "Event",
    ),
    "clients.listeners.run_event_listener": ("StepRunEventType",),
    "clients.rest.api.observability_api": ("ObservabilityApi",),
    "clients.rest.api.task_api": ("TaskApi",),
    "clients.rest.models.otel_span": ("OtelSpan",),
    "clients.rest.models.scheduled_run_status": ("ScheduledRunStatus",),
    "clients.rest.models.v1_event": ("V1Event",),
    "clients.rest.models.v1_task_event_type": ("V1TaskEventType",),
    "clients.rest.models.v1_task_status": ("V1TaskStatus",),
    "clients.rest.models.v1_task_summary": ("V1TaskSummary",),
    "clients.rest.models.v1_task_summary_list": ("V1TaskSummaryList",),
    "clients.rest.models.v1_webhook": ("V1Webhook",),
    "clients.rest.models.v1_webhook_api_key_auth": ("V1WebhookAPIKeyAuth",),
    "clients.rest.models.v1_webhook_basic_auth": ("V1WebhookBasicAuth",),
    "clients.rest.models.v1_webhook_hmac_algorithm": ("V1WebhookHMACAlgorithm",),
    "clients.rest.models.v1_webhook_hmac_auth": ("V1WebhookHMACAuth",),
    "clients.rest.models.v1_webhook_hmac_encoding": ("V1WebhookHMACEncoding",),
    "clients.rest.models.v1_webhook_source_name": ("V1WebhookSourceName",),
    "clients.rest.models.v1_workflow_run_details": ("V1WorkflowRunDetails",),
    "config": (
        "ClientConfig",
        "HTTPMethod",
        "TenacityConfig",
    ),
    "context.context": ("Context",),
    "exceptions": (
        "DedupeViolationError",
        "FailedTaskRunExceptionGroup",
        "NonDeterminismError",
        "NonRetryableException",
        "TaskRunError",
    ),
    "hatchet": ("Hatchet",),
    "labels": ("DesiredWorkerLabel",),
    "opentelemetry.instrumentor": ("HatchetInstrumentor",),
    "rate_limit": (
        "RateLimit",
        "RateLimitDuration",
    ),
    "runnables.contextvars": (
        "ctx_action_key",
        "workflow_spawn_indices",
    ),
    "runnables.eviction": ("EvictionPolicy",),
    "runnables.task": ("Depends",),
    "runnables.types": (
        "BatchMemberId",
        "EmptyModel",
    ),
    "runnables.workflow": (
        "BaseWorkflow",
        "MCPProvider",
        "Standalone",
        "Workflow",
    ),
    "serde": ("is_in_hatchet_serialization_context",),
    "workflow_run": ("WorkflowRunRef",),
}
