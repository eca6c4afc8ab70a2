"""Every number the core obeys: its name, its default, its reason. Tests shorten the liveness ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from limpet.core.ids import SECOND_US


class HardStickyPolicy(StrEnum):
    """What becomes of a task whose HARD worker is gone (ST-25)."""

    FAIL = "fail"
    WAIT = "wait"


class RetryPriority(StrEnum):
    """Where a retried task stands in the queue (PR-21)."""

    DECLARED = "declared"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one tenant's core. Durations in microseconds. Ids in brackets: specification rules."""

    worker_assignable_us: int = 12 * SECOND_US  # three heartbeats; one or two late ones do not flap [WK-2, R30]
    worker_lost_after_us: int = 30 * SECOND_US  # [WK-3, R27]
    receipt_grace_us: int = 5 * SECOND_US  # from the end of the stream [WK-8b, R26]
    receipt_grace_after_load_us: int = 15 * SECOND_US  # a client may need 5 s to reconnect, then repeats STARTED [R26]
    receipt_timeout_us: int = 30 * SECOND_US  # open stream without receipt: deaf [WK-8c]
    internal_retries_max: int = 10  # [WK-5]
    internal_retry_forgiven_after_us: int = 60 * SECOND_US  # a start that lasted longer clears the count [section 10, 17]
    undeliverable_delay_first_us: int = 100_000  # doubling [WK-20]
    undeliverable_delay_max_us: int = 5 * SECOND_US
    hard_sticky_policy: HardStickyPolicy = HardStickyPolicy.FAIL  # [ST-25]
    hard_sticky_grace_us: int = 30 * SECOND_US  # from lost_at [ST-20]
    retry_priority: RetryPriority = RetryPriority.DECLARED  # [PR-21]
    priority_age_us: int = 0  # 0: no ageing [PR-15]
    depth_first: bool = False  # among equal priority the run that started first [section 10, 9]
    slot_hold_us: int = 5 * SECOND_US  # freed units kept for a heavy task [SL-6]
    waiting_notice_after_us: int = 5 * SECOND_US  # a placeable task that still waits says why [OB-9]
    waiting_notice_repeat_us: int = 300 * SECOND_US  # same reason [OB-9]
    waiting_notice_changed_us: int = 30 * SECOND_US  # other reason [OB-13]
    due_batch_max: int = 1_000  # deadlines handled in one step [R53]
    worker_forgotten_after_us: int = 24 * 3600 * SECOND_US  # lost or gone, and nothing refers to it [R29]
    message_bytes_max: int = 4 * 1024 * 1024  # a client's limit [X15, X26]
    payload_bytes_max: int = 3 * 1024 * 1024  # [X15]
    metadata_bytes_max: int = 64 * 1024
    error_bytes_max: int = 64 * 1024
    name_bytes_max: int = 255
    bulk_items_max: int = 1_000
    labels_max: int = 100
    dag_tasks_max: int = 1_000
    workflow_crons_max: int = 100  # declared ones; a new version reads and writes them all
    cron_late_max_us: int = 10 * SECOND_US  # a change of owner takes as long; older ticks are not made up [F6.6]
    event_triggers_max: int = 100  # event keys of a workflow, and filters that it declares
    event_runs_max: int = 10_000  # that one push may start; one commit, so it takes the loop a second at the worst
    event_runs_bytes_max: int = 64 * 1024 * 1024  # inputs of those runs; each gets the payload as its own
    filters_max: int = 10_000  # of a tenant, in memory
    filters_bytes_max: int = 16 * 1024 * 1024  # scopes, expressions and payloads of them all
    webhooks_max: int = 100  # of a tenant, in memory
    expression_bytes_max: int = 4 * 1024  # [X15]
    conditions_max: int = 100  # of one task; all are looked at whenever one of them may be satisfied
    heard_batch_max: int = 500  # tasks that events let go on in one step, some 50 ms; the others follow step by step [R53]
    look_backs_max: int = 20  # questions about the past of events that one step asks; equal ones are one
    condition_key_bytes_max: int = 1_000  # of the name of its data; it comes with every start of the task
    concurrency_limits_max: int = 10  # of a workflow as a whole, and of each task
    concurrency_name_bytes_max: int = 255  # of a limit that has a name
    task_rate_limits_max: int = 10  # that one task takes units of [F4.11]
    rate_limit_name_bytes_max: int = 255  # a rate limit's key; a computed one that is longer is an error of its expression
    rate_limits_idle_max: int = 10_000  # kept in memory though no unfinished run names them; others are read when needed [S2]
    rate_limits_shown_max: int = 100  # that metrics tell of by name; the others are told of together
    concurrency_key_bytes_max: int = 1_000  # a longer key is an error of its expression; it is stored with every run
    idempotency_key_bytes_max: int = 1_000  # a trigger with a longer key is refused; it is stored while it is held
    idempotency_ttl_max_us: int = 3_653 * 24 * 3600 * SECOND_US  # ten years: a key for ever is a key that nobody can free
