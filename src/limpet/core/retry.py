"""How long a retry waits (RT-3). Integer arithmetic: no float for time, no overflow for large counts."""

from __future__ import annotations

from limpet.core.definitions import TaskDefinition
from limpet.core.ids import SECOND_US
from limpet.core.settings import Settings

MILLI = 1_000


def backoff_us(task: TaskDefinition, retry_number: int) -> int:
    """Delay before the k-th retry after a failure, k from 1: min(cap, factor^k) seconds; 0 without a factor."""
    if task.backoff_factor_milli is None:
        return 0
    delay, cap = SECOND_US, task.backoff_max_us
    if task.backoff_factor_milli <= MILLI:
        return min(cap, delay)
    for _ in range(retry_number):
        delay = delay * task.backoff_factor_milli // MILLI
        if delay >= cap:
            return cap
    return delay


def undeliverable_delay_us(internal_retries: int, settings: Settings) -> int:
    """Delay before a start that no stream took is tried again: doubling from the first, capped (WK-20)."""
    doubled = settings.undeliverable_delay_first_us << min(internal_retries, 32)
    return min(settings.undeliverable_delay_max_us, doubled)
