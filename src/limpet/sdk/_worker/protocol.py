"""What a worker does about what it is told. No I/O, no clock, no chance: times and jitter are handed in.

Laws:
1. The same attempt runs once, however often it is sent (R25 binds the engine; this binds us).
2. A cancelled attempt is not reported (CN-4); a newer attempt of the same task is another one.
3. A lost stream is opened again for ever, with growing waits; a worker that the engine does not know registers again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto

from limpet.sdk.attempt import AttemptKey

ENDED_REMEMBERED_MAX = 10_000  # covers far more than a stream's overlap after a reconnect
RECONNECT_WAIT_FIRST_S = 0.1
RECONNECT_WAIT_MAX_S = 5.0  # [WK-8]
STABLE_AFTER_S = 5.0  # a stream that lasted this long was a good one: waits begin anew [WK-8]


class Start(Enum):
    """What to do about a start."""

    RUN = auto()
    UNKNOWN_ACTION = auto()
    DUPLICATE = auto()


class StreamEnd(Enum):
    """Why a stream ended, as far as it matters."""

    LOST = auto()
    WORKER_UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Open the stream again after a wait; register first when the engine has forgotten the worker."""

    wait_s: float
    register_first: bool


class WorkerProtocol:
    """Which attempts run, which have ended, and how often the stream was lost. Owned by the event loop."""

    def __init__(self, action_ids: frozenset[str]) -> None:
        self._action_ids = action_ids
        self._running: dict[AttemptKey, bool] = {}
        self._ended: OrderedDict[AttemptKey, None] = OrderedDict()

    @property
    def running(self) -> list[AttemptKey]:
        """Attempts that run and are not cancelled: a drain waits for these."""
        return [key for key, is_cancelled in self._running.items() if not is_cancelled]

    def on_start(self, key: AttemptKey, action_id: str) -> Start:
        """A start arrived."""
        if key in self._running or key in self._ended:
            return Start.DUPLICATE
        if action_id not in self._action_ids:
            self._remember(key)
            return Start.UNKNOWN_ACTION
        self._running[key] = False
        return Start.RUN

    def on_cancel(self, key: AttemptKey) -> bool:
        """A cancel arrived. True: the attempt runs and is to be stopped; False: there is nothing to do."""
        if self._running.get(key, True):
            return False
        self._running[key] = True
        return True

    def on_end(self, key: AttemptKey) -> bool:
        """An attempt's code ended. True: its outcome is to be reported."""
        is_cancelled = self._running.pop(key, True)
        self._remember(key)
        return not is_cancelled

    def _remember(self, key: AttemptKey) -> None:
        self._ended[key] = None
        while len(self._ended) > ENDED_REMEMBERED_MAX:
            self._ended.popitem(last=False)


class StreamProtocol:
    """How often the stream was lost in a row. Owned by the listener's thread."""

    def __init__(self) -> None:
        self._losses = 0

    def on_action(self) -> None:
        """Something arrived: the stream works."""
        self._losses = 0

    def on_stream_end(self, reason: StreamEnd, *, lasted_s: float, jitter: float) -> Reconnect:
        """What to do now. `jitter` is between 0 and 1."""
        if lasted_s > STABLE_AFTER_S:
            self._losses = 0
        wait_s = min(RECONNECT_WAIT_FIRST_S * 2**self._losses, RECONNECT_WAIT_MAX_S)
        self._losses += 1
        return Reconnect(wait_s + jitter * RECONNECT_WAIT_FIRST_S, reason is StreamEnd.WORKER_UNKNOWN)
