"""Which workers could take a class of tasks, best first. The ranking of assignment A-0.6 to A-0.9.

A pool holds the workers that pass the hard filters of a class (action, required labels); a lazy heap ranks those
that have room: workers that can run the whole workflow (only while a pin is unset, ST-33b), label weight, free
share, least recently used. Choosing is O(log workers); a worker that changes is pushed again when a pool is next asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from limpet.core import affinity
from limpet.core.definitions import DesiredLabel
from limpet.core.ids import ActionId, Instant, WorkerKey
from limpet.core.records import Order, TaskRun, Worker
from limpet.core.settings import Settings
from limpet.core.slots import Request, capable, fits, free_ratio, held_against

POOLS_MAX = 2_000  # distinct filters remembered; an idle one beyond this goes, and is rebuilt when needed

PoolKey = tuple[ActionId, tuple[DesiredLabel, ...], Request, frozenset[ActionId] | None]


def is_assignable(worker: Worker, now: Instant, settings: Settings) -> bool:
    """Stream open, not paused, not lost or gone, and heard of lately (R30)."""
    return (
        bool(worker.sessions)
        and not worker.paused
        and worker.lost_at is None
        and worker.gone_at is None
        and now - worker.seen_at <= settings.worker_assignable_us
    )


def admits(worker: Worker, action_id: ActionId, labels: tuple[DesiredLabel, ...]) -> bool:
    """The hard filters that depend on the worker's registration and labels only (A-0.6, A-0.7)."""
    return worker.gone_at is None and action_id in worker.actions and affinity.first_unmet(labels, worker.labels) is None


@dataclass(slots=True, eq=False)
class Member:
    """A worker of a pool. `stamp`: which of its heap entries is the valid one; a pool never gives one twice."""

    worker: Worker
    rank: tuple[int, int]
    last_used: int = 0
    stamp: int = 0


class Pool:
    """Workers that pass one set of hard filters. Mutated by `Pools` and by asking it for the best."""

    __slots__ = ("_changed", "_heap", "_stamps", "_uses", "capable_count", "is_dropped", "is_wanted", "key", "members", "number")

    def __init__(self, key: PoolKey, number: int) -> None:
        self.key: PoolKey = key
        self.number: int = number
        self.members: dict[WorkerKey, Member] = {}
        self.is_wanted: bool = False  # some task waits for it
        self.is_dropped: bool = False  # nobody tells it of workers any more
        self.capable_count: int = 0
        self._changed: dict[WorkerKey, None] = {}
        self._heap: list[tuple[tuple[int, int], int, int, WorkerKey, int]] = []
        self._uses = 0
        self._stamps = 0

    @property
    def request(self) -> Request:
        return self.key[2]

    def consider(self, worker: Worker) -> None:
        """The worker is new, or its labels changed: let it in, rank it again, or put it out."""
        action, labels, request, whole = self.key
        known = self.members.pop(worker.key, None)
        if known is not None and capable(worker, request):
            self.capable_count -= 1
        if not admits(worker, action, labels):
            worker.pools.pop(self.number, None)
            return
        rank = (0 if whole is None or whole <= worker.actions else 1, -affinity.score(labels, worker.labels))
        self.members[worker.key] = Member(worker, rank, known.last_used if known else 0)
        worker.pools[self.number] = None
        self.capable_count += capable(worker, request)
        self._changed[worker.key] = None

    def touch(self, worker: Worker) -> None:
        """The worker's free units or availability changed."""
        self._changed[worker.key] = None

    def best(self, task: TaskRun, order: Order, now: Instant, settings: Settings) -> Worker | None:
        """The worker for the task; the one it should avoid only when no other has room."""
        self._push_changed(now, settings)
        aside: list[tuple[tuple[int, int], int, int, WorkerKey, int]] = []
        chosen, second = None, None
        while chosen is None and self._heap:
            member = self._valid(self._heap[0], now, settings)
            if member is None:
                heappop(self._heap)
            elif held_against(member.worker, order, task, now):
                aside.append(heappop(self._heap))
            elif member.worker.key == task.avoid:
                second = member.worker
                aside.append(heappop(self._heap))
            else:
                chosen = member.worker
        for entry in aside:
            heappush(self._heap, entry)
        return chosen or second

    def used(self, worker: Worker) -> int:
        """The worker was chosen: among equals it is now the last (SL-14). Returns its turn before."""
        member = self.members[worker.key]
        before = member.last_used
        self._uses += 1
        member.last_used = self._uses
        return before

    def unused(self, worker: Worker, last_used: int) -> None:
        """The choice is undone: the worker has its turn of before."""
        self.members[worker.key].last_used = last_used

    def _push_changed(self, now: Instant, settings: Settings) -> None:
        for key in self._changed:
            member = self.members.get(key)
            if member is None:
                continue
            self._stamps += 1
            member.stamp = self._stamps
            if fits(member.worker, self.request) and is_assignable(member.worker, now, settings):
                entry = (member.rank, -free_ratio(member.worker, self.request), member.last_used, key, member.stamp)
                heappush(self._heap, entry)
        self._changed.clear()

    def _valid(self, entry: tuple[tuple[int, int], int, int, WorkerKey, int], now: Instant, settings: Settings) -> Member | None:
        member = self.members.get(entry[3])
        if member is None or member.stamp != entry[4]:
            return None
        usable = fits(member.worker, self.request) and is_assignable(member.worker, now, settings)
        return member if usable else None


class Pools:
    """All pools of a tenant, by filter and by action."""

    __slots__ = ("_by_action", "_by_key", "_by_number", "_numbers")

    def __init__(self) -> None:
        self._by_key: dict[PoolKey, Pool] = {}
        self._by_number: dict[int, Pool] = {}
        self._by_action: dict[ActionId, dict[int, Pool]] = {}
        self._numbers = 0

    def of(self, key: PoolKey, workers: Iterable[Worker]) -> Pool:
        """The pool of a filter; built from the workers when it is new."""
        pool = self._by_key.get(key)
        if pool is None:
            self._make_room()
            self._numbers += 1
            pool = self._by_key[key] = self._by_number[self._numbers] = Pool(key, self._numbers)
            self._by_action.setdefault(key[0], {})[pool.number] = pool
            for worker in workers:
                if key[0] in worker.actions:
                    pool.consider(worker)
        return pool

    def reconsider(self, worker: Worker) -> None:
        """The worker registered, left for good, or has other labels now."""
        for action in sorted(worker.actions):
            for pool in self._by_action.get(action, {}).values():
                pool.consider(worker)

    def numbered(self, number: int) -> Pool:
        """The pool with that number."""
        return self._by_number[number]

    def all(self) -> Iterator[Pool]:
        return iter(self._by_key.values())

    def _make_room(self) -> None:
        if len(self._by_key) < POOLS_MAX:
            return
        for key, pool in list(self._by_key.items()):
            if not pool.is_wanted:
                self._remove(key, pool)
            if len(self._by_key) < POOLS_MAX * 3 // 4:
                return

    def _remove(self, key: PoolKey, pool: Pool) -> None:
        del self._by_key[key]
        del self._by_number[pool.number]
        del self._by_action[key[0]][pool.number]
        pool.is_dropped = True
        for member in pool.members.values():
            member.worker.pools.pop(pool.number, None)
