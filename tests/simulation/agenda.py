"""Virtual time: what is to happen, in order. Nothing in here waits."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

MS = 1_000
SECOND = 1_000_000


class Agenda:
    """A heap of (instant, order of entry, act). Instants are true time in microseconds from 0."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._entries = 0

    def after(self, delay: int, act: Callable[[], None]) -> None:
        """Let something happen later; never in the past."""
        self._entries += 1
        heappush(self._heap, (self.now + max(0, delay), self._entries, act))

    def run(self, until: int) -> None:
        """Let everything happen up to that instant."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, act = heappop(heap)
            act()
        self.now = max(self.now, until)


class WallClock:
    """What the computer of the engine thinks the time is: it drifts, and it jumps."""

    START = 1_760_000_000 * SECOND

    def __init__(self, agenda: Agenda, rate_permille: int) -> None:
        self._agenda = agenda
        self._rate = rate_permille
        self.jump = 0

    def honest(self) -> int:
        """Counted on from the start, without the jumps."""
        return self.START + self._agenda.now * self._rate // 1_000

    def wall(self) -> int:
        return self.honest() + self.jump

    def true_delay(self, span: int) -> int:
        """How much true time passes while this clock counts `span`."""
        return -(-max(0, span) * 1_000 // self._rate)


class EngineClock:
    """The wall clock once, when the engine starts; then counted on by the monotonic clock (T-CLOCK)."""

    def __init__(self, wall: WallClock) -> None:
        self._wall = wall
        self._anchor = wall.wall() - wall.honest()

    def now(self) -> int:
        """What the engine takes for the time."""
        return self.honest()

    def honest(self) -> int:
        """What it should take for the time."""
        return self._wall.honest() + self._anchor
