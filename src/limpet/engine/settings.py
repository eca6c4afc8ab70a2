"""Every number the engine obeys: its name, its default, its reason. Tests shorten some of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from limpet.core.ids import MILLISECOND_US, SECOND_US
from limpet.core.settings import Settings

MEBIBYTE = 1024 * 1024
DAY_US = 86_400 * SECOND_US


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of one engine process. Durations in microseconds."""

    core: Settings = field(default_factory=Settings)

    # One turn of the loop.
    input_batch_max: int = 500  # about 5 ms of core work, the order of one commit
    tenant_turn_max: int = 200  # inputs of one tenant in one turn; a bulk call counts as its items [P7]
    tenant_turn_bytes_max: int = 16 * MEBIBYTE  # a few payloads of 3 MiB, so that no single commit grows without bound

    # What may wait for a turn [R43].
    inbox_items_max: int = 50_000  # a few seconds of work; over it callers are told, not kept waiting
    inbox_bytes_max: int = 256 * MEBIBYTE
    tenant_inbox_items_max: int = 20_000  # under half of it all, so that one tenant cannot lock out the others [P7]
    tenant_inbox_bytes_max: int = 100 * MEBIBYTE
    inbox_reserve_items: int = 20_000  # kept for signs of life and streams: an outage must not make the fleet look dead

    # A store in trouble [R8, R44].
    backoff_first_us: int = 50 * MILLISECOND_US
    backoff_max_us: int = 5 * SECOND_US
    refuse_work_after_us: int = 8 * SECOND_US  # shorter troubles are waited out; then callers of new work are told [R34, R35]
    reclaim_after_fence_mismatch: bool = False  # else the process ends: somebody else owns the store, or it went back in time
    halt_first_us: int = SECOND_US  # a tenant that cannot be stepped even after a reload is tried again after this, doubling
    halt_max_us: int = 60 * SECOND_US
    quarantine_text_max: int = 65_536  # characters of an input kept for the operator

    # Ownership of a store with leases [R12 to R16].
    lease_margin_us: int = SECOND_US  # trusted for so much less than the store gave, counted from the sending [R14]
    lease_renew_after_us: int = 2 * SECOND_US  # without a commit, which renews by itself [R14]
    lease_look_every_us: int = SECOND_US // 2  # how often that is looked at
    standby_look_every_us: int = SECOND_US // 2  # how often a standby tries to take over
    find_tenants_every_us: int = 10 * SECOND_US  # tenants made beside the running engine are served after this

    # Deliveries and their payloads.
    payload_cache_bytes_max: int = 64 * MEBIBYTE  # what was just committed is usually what is delivered next
    payload_read_max: int = 64  # deliveries of one read: at most 64 messages of 4 MiB in memory
    delivery_queue_max: int = 10_000  # waiting for payloads; over it the loop takes no further inputs

    # Duties.
    log_queue_max: int = 10_000  # lines; about 1 s of a flood, the rest is dropped with a counter [R10, R43]
    log_queue_bytes_max: int = 32 * MEBIBYTE
    log_batch_max: int = 1_000
    retention_us: int = 30 * DAY_US
    prune_every_us: int = 60 * SECOND_US
    prune_batch_max: int = 1_000  # R50
    purge_claims_every_us: int = 15 * SECOND_US  # rows of expired idempotency keys; expiry itself is exact [W16.9, F9.6]
    self_check_every_us: int = 60 * SECOND_US  # section 4

    # Going.
    drain_max_us: int = 8 * SECOND_US  # an orchestrator usually kills after 10 s
    turn_stuck_after_us: int = 30 * SECOND_US  # a turn that takes longer makes the engine not ready
