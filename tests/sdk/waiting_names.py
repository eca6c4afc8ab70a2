"""Official names that this package does not carry, each with the feature that it waits for. The only such list.

`test_public_surface.py` fails for a name that is missing and not listed, and for one that is listed and exists.
"""

from __future__ import annotations

DURABLE = "durable tasks"
BATCH = "batch tasks"
EMBEDDED = "the engine inside the client's process"
TRACING = "nothing: a model of the hosted trace view that no client method returns"
ACCOUNTS = "users, invitations and tenants of the hosted service"
LEGACY = "nothing: models of the older API that no client method returns"
HTTP_CLASSES = "nothing: generated classes of the official HTTP client, which `limpet.runs` and its siblings stand for"
INTERNAL = "nothing: inner parts of the official client, deprecated there"

TOP_LEVEL: dict[str, tuple[str, ...]] = {
    DURABLE: ("DurableContext", "EvictionNotSupportedError", "EvictionPolicy", "NonDeterminismError"),
    EMBEDDED: ("EmbeddedHatchetConfig",),
    ACCOUNTS: (
        "APIMeta",
        "APIMetaAuth",
        "APIMetaIntegration",
        "APIToken",
        "AcceptInviteRequest",
        "CreateAPITokenRequest",
        "CreateAPITokenResponse",
        "CreateTenantInviteRequest",
        "CreateTenantRequest",
        "ListAPITokensResponse",
        "RejectInviteRequest",
        "TenantInvite",
        "TenantInviteList",
        "TenantList",
        "TenantMember",
        "TenantMemberList",
        "TenantMemberRole",
        "UpdateTenantInviteRequest",
        "User",
        "UserLoginRequest",
        "UserRegisterRequest",
        "UserTenantMembershipsList",
        "UserTenantPublic",
    ),
    LEGACY: (
        "CreatePullRequestFromStepRun",
        "CreateWorkflowVersionOpts",
        "Event",
        "EventData",
        "EventKeyList",
        "EventList",
        "EventOrderByDirection",
        "EventOrderByField",
        "EventWorkflowRunSummary",
        "ReplayEventRequest",
        "GetStepRunDiffResponse",
        "JobRun",
        "JobRunStatus",
        "ListPullRequestsResponse",
        "LogLine",
        "LogLineLevel",
        "LogLineList",
        "LogLineOrderByDirection",
        "LogLineOrderByField",
        "PullRequest",
        "PullRequestState",
        "RerunStepRunRequest",
        "StepRun",
        "StepRunDiff",
        "TriggerWorkflowRunRequest",
        "WorkflowRun",
        "WorkflowRunList",
        "WorkflowRunStatus",
        "WorkflowRunTriggeredBy",
        "WorkflowVersionDefinition",
    ),
}

MEMBERS: dict[str, dict[str, tuple[str, ...]]] = {
    "Hatchet": {
        DURABLE: ("durable_task",),
        BATCH: ("batch_task",),
        EMBEDDED: ("aio_stop_embedded", "from_embedded", "stop_embedded"),
        INTERNAL: ("dispatcher",),
    },
    "Workflow": {
        DURABLE: ("durable_task",),
        BATCH: ("batch_task",),
        INTERNAL: ("client",),
    },
    "Standalone": {
        INTERNAL: ("client",),
    },
    "Task": {INTERNAL: ("validators", "workflow")},
    "Context": {
        INTERNAL: (
            "action",
            "admin_client",
            "data",
            "dispatcher_client",
            "durable_event_listener",
            "event_client",
            "log_sender",
            "runs_client",
        ),
    },
    "WorkerContext": {INTERNAL: ("client",)},
    "Worker": {
        INTERNAL: (
            "action_listener_health_check",
            "action_listener_process",
            "action_queue",
            "action_registry",
            "action_runner",
            "client",
            "ctx",
            "debug",
            "durable_action_listener_process",
            "durable_action_queue",
            "durable_event_queue",
            "event_queue",
            "handle_kill",
            "killing",
            "labels",
            "lifespan",
            "lifespan_stack",
            "loop",
            "owned_loop",
            "slot_config",
        )
    },
    "WorkflowRunRef": {INTERNAL: ("admin_client", "workflow_run_event_listener", "workflow_run_listener")},
    "RunsClient": {
        DURABLE: ("aio_reset_durable_task", "reset_durable_task"),
        INTERNAL: ("admin_client", "client", "workflow_run_event_listener", "workflow_run_listener"),
    },
    "WorkersClient": {INTERNAL: ("client",)},
    "WorkflowsClient": {INTERNAL: ("client",)},
    "LogsClient": {INTERNAL: ("client",)},
    "RateLimitsClient": {INTERNAL: ("client",)},
    "MetricsClient": {INTERNAL: ("client",)},
    "CELClient": {INTERNAL: ("client",)},
    "EventClient": {INTERNAL: ("aio_stream", "client", "log", "stream")},
    "FiltersClient": {INTERNAL: ("client",)},
    "WebhooksClient": {INTERNAL: ("client",)},
}


# Documented imports from modules below the package, as `module.name`.
IMPORTS: dict[str, tuple[str, ...]] = {
    DURABLE: ("exceptions.NonDeterminismError", "runnables.eviction.EvictionPolicy"),
    BATCH: ("runnables.types.BatchMemberId",),
    TRACING: ("clients.rest.models.otel_span.OtelSpan",),
    HTTP_CLASSES: (
        "clients.rest.api.observability_api.ObservabilityApi",
        "clients.rest.api.task_api.TaskApi",
    ),
}


def flat(table: dict[str, tuple[str, ...]]) -> set[str]:
    """All names of a table."""
    return {name for names in table.values() for name in names}
