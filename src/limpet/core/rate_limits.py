"""Rate limits: set, paused, deleted, declared by tasks, and filled again by time (flow control section 4, decision 0022)."""

from __future__ import annotations

from limpet.core.buckets import Bucket
from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.ids import Instant
from limpet.core.rate_definitions import LIMIT_MAX
from limpet.core.rate_demand import declarations_of
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPaused, RateLimitPut
from limpet.core.rate_windows import RateWindow
from limpet.core.records import TaskRun
from limpet.core.state import State
from limpet.core.timers import Due


def put(state: State, item: RateLimitPut) -> None:
    """Make it, or change it at once (F4.1, F4.2)."""
    check_name(item.name, state.settings.rate_limit_name_bytes_max)
    if not 0 <= item.limit <= LIMIT_MAX:
        raise InvalidArgument(f"rate limit {item.name}: the limit must be between 0 and {LIMIT_MAX}, got {item.limit}")
    _set(state, state.rates.bucket(item.name), item.limit, item.window)


def pause(state: State, item: RateLimitPaused) -> Instant:
    """Give no unit until then."""
    bucket = _known(state, item.name)
    until = None if item.until <= state.now else item.until
    if until is not None and bucket.paused_until is not None:
        until = max(until, bucket.paused_until)
    bucket.paused_until = until
    state.rates.changed(bucket)
    _serve(state, bucket)
    return item.until if until is None else until


def delete(state: State, item: RateLimitDeleted) -> None:
    """Forget it. Tasks that set it themselves make it anew; the others wait until somebody else does."""
    bucket = _known(state, item.name)
    state.rates.drop(bucket)
    _declare_waiting(state, bucket)


def declare(state: State, task: TaskRun) -> None:
    """The task is about to be queued: what it wants its limits to be holds from now on (F4.8)."""
    for name, limit, window in declarations_of(task):
        bucket = state.rates.bucket(name)
        if bucket.is_read:
            _set(state, bucket, *state.rates.declare(name, limit, window))


def arrived(state: State, buckets: list[Bucket]) -> None:
    """The store has been asked for these; tasks may have waited for that."""
    for bucket in buckets:
        if not bucket.exists:
            _declare_waiting(state, bucket)
        _serve(state, bucket)


def refill(state: State, bucket: Bucket) -> None:
    """The instant has come that its timer stands for."""
    if bucket.watched_at is None or bucket.watched_at > state.now:
        return
    bucket.watched_at = None
    bucket.pass_time(state.now)
    _serve(state, bucket)


def watch(state: State, bucket: Bucket) -> None:
    """Wake those who wait for the bucket when time alone lets them go on."""
    at = bucket.next_at(state.now) if bucket.is_awaited else None
    if at is not None and at != bucket.watched_at:
        bucket.watched_at = at
        state.timers.arm(at, Due.REFILL, bucket)


def check_name(name: str, bytes_max: int) -> None:
    """Raises InvalidArgument."""
    if not name or "\0" in name or len(name.encode()) > bytes_max:
        raise InvalidArgument(f"a rate limit's key must have 1 to {bytes_max} bytes without NUL characters, got {name[:80]!r}")


def _set(state: State, bucket: Bucket, limit: int, window: RateWindow) -> None:
    assert bucket.is_read, f"the step did not ask the store for the rate limit {bucket.name!r}"
    if not bucket.exists:
        state.rates.create(bucket, state.key(), limit, window, state.now)
    elif bucket.set(limit, window, state.now):
        state.rates.changed(bucket)
    else:
        return
    _serve(state, bucket)


def _serve(state: State, bucket: Bucket) -> None:
    """The bucket stands differently: those whose units it has now are looked at in this step."""
    for tap in state.rates.open_fitting(bucket, state.now):
        state.awaken(tap.class_id)
    watch(state, bucket)


def _declare_waiting(state: State, bucket: Bucket) -> None:
    """The limit does not exist: the first who waits for it and sets it itself makes it, for each kind of them."""
    for tap in state.rates.taps_of(bucket):
        for task in tap.tasks():
            own = [one for one in declarations_of(task) if one[0] == bucket.name]
            for name, limit, window in own:
                _set(state, bucket, *state.rates.declare(name, limit, window))
            if own:
                break


def _known(state: State, name: str) -> Bucket:
    bucket = state.rates.bucket(name)
    assert bucket.is_read, f"the step did not ask the store for the rate limit {name!r}"
    if not bucket.exists:
        raise NotFound("rate limit", name[:80], "nobody has set it; its key must match exactly")
    return bucket
