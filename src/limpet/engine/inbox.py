"""Where inputs wait for their turn: one lane a tenant, served in turn, bounded in items and bytes (P7, R43).

Laws:
1. Within a lane order is kept; between lanes nobody gets a second portion before all others got their first.
2. An input that somebody waits for is refused when the bound is reached, with a sentence; never dropped.
3. Signs of life of one worker are one input however many came: they carry no time of their own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from limpet.core.errors import LimitReached, LimpetError
from limpet.core.event_inputs import EventsPushed
from limpet.core.ids import TenantNo
from limpet.core.inputs import Input, RunsTriggered, TaskCompleted, TaskFailed, TimePassed, WorkerSeen, WorkflowPut
from limpet.engine.settings import EngineSettings

ENTRY_BYTES = 500  # what a waiting input costs beside its payloads, measured roughly
DEFINITION_BYTES_A_TASK = 1_000


@dataclass(slots=True, eq=False)
class Entry:
    """An input, and who waits for its reply."""

    item: Input
    reply: asyncio.Future[object] | None
    size: int

    def answer(self, reply: object) -> None:
        """Give the reply to whoever waits, unless they have left."""
        future = self.reply
        if future is None or future.done():
            return
        if isinstance(reply, LimpetError):
            future.set_exception(reply)
        else:
            future.set_result(reply)


@dataclass(slots=True)
class Portion:
    """What one tenant hands in for one turn, in order; `cost` as `cost_of` counts it."""

    tenant_no: TenantNo
    entries: list[Entry]
    cost: int = 0


@dataclass(slots=True)
class _Lane:
    entries: deque[Entry] = field(default_factory=deque)
    size: int = 0
    signs: set[str] = field(default_factory=set)  # workers whose sign of life waits already


def size_of(item: Input) -> int:
    """Bytes that a waiting input keeps in memory, about."""
    if isinstance(item, TaskCompleted):
        return ENTRY_BYTES + len(item.output)
    if isinstance(item, RunsTriggered):
        return sum(ENTRY_BYTES + len(one.input) + len(one.metadata) for one in item.items)
    if isinstance(item, EventsPushed):
        return sum(ENTRY_BYTES * (1 + len(one.starts)) + len(one.payload) + len(one.metadata) for one in item.events)
    if isinstance(item, TaskFailed):
        return ENTRY_BYTES + len(item.error)
    if isinstance(item, WorkflowPut):
        definition = item.definition
        return ENTRY_BYTES + DEFINITION_BYTES_A_TASK * len(definition.steps) + len(definition.input_schema or b"")
    return ENTRY_BYTES


def cost_of(item: Input) -> int:
    """How much of a turn an input takes: a bulk call costs as much as its items would one by one."""
    if isinstance(item, RunsTriggered):
        return max(1, len(item.items))
    return sum(1 + len(event.starts) for event in item.events) if isinstance(item, EventsPushed) else 1


class Inbox:
    """The bounded lanes. One event loop uses it; nothing here awaits but `arrival`."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._lanes: OrderedDict[TenantNo, _Lane] = OrderedDict()  # only those with entries, next to be served first
        self._bell: asyncio.Future[None] | None = None
        self.items: int = 0
        self.size: int = 0

    def __len__(self) -> int:
        return self.items

    def put(self, tenant_no: TenantNo, item: Input, reply: asyncio.Future[object]) -> None:
        """Queue an input that somebody waits for. Raises LimitReached at the bound."""
        size = size_of(item)
        self._check_room(self._lanes.get(tenant_no), size)
        self._append(tenant_no, Entry(item, reply, size))

    def put_notice(self, tenant_no: TenantNo, item: Input) -> bool:
        """Queue an input nobody waits for; False when even the reserve is full."""
        if type(item) is WorkerSeen:
            return self._put_sign(tenant_no, item)
        if not self._has_reserve():
            return False
        self.put_own(tenant_no, item)
        return True

    def put_own(self, tenant_no: TenantNo, item: Input) -> None:
        """Queue an input of the engine's own; bounded by what made it, a step's deliveries."""
        self._append(tenant_no, Entry(item, None, size_of(item)))

    def put_time(self, tenant_no: TenantNo) -> None:
        """Something is due for that tenant; whatever waits for it already brings the time along."""
        if tenant_no not in self._lanes:
            self._append(tenant_no, Entry(TimePassed(), None, ENTRY_BYTES))

    def take(self) -> list[Portion]:
        """The next turn's inputs: lanes in turn, each at most its share, together at most a batch."""
        portions: list[Portion] = []
        left = self._settings.input_batch_max
        for _ in range(len(self._lanes)):
            if left <= 0:
                break
            portion = self._take_from_first(min(left, self._settings.tenant_turn_max))
            portions.append(portion)
            left -= portion.cost
        return portions

    def take_all(self) -> list[Entry]:
        """Everything, to be refused."""
        entries = [entry for lane in self._lanes.values() for entry in lane.entries]
        self._lanes.clear()
        self.items = self.size = 0
        return entries

    async def arrival(self) -> None:
        """Return once something waits or `ring` was called."""
        if self.items:
            return
        self._bell = asyncio.get_running_loop().create_future()
        await self._bell

    def ring(self) -> None:
        """Make `arrival` return: time has come, or the engine stops."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def _append(self, tenant_no: TenantNo, entry: Entry) -> None:
        lane = self._lanes.get(tenant_no)
        if lane is None:
            lane = self._lanes[tenant_no] = _Lane()
        lane.entries.append(entry)
        lane.size += entry.size
        self.items += 1
        self.size += entry.size
        self.ring()

    def _put_sign(self, tenant_no: TenantNo, item: WorkerSeen) -> bool:
        lane = self._lanes.get(tenant_no)
        if lane is not None and item.worker_id in lane.signs:
            return True
        if not self._has_reserve():
            return False
        self.put_own(tenant_no, item)
        self._lanes[tenant_no].signs.add(item.worker_id)
        return True

    def _has_reserve(self) -> bool:
        return self.items < self._settings.inbox_items_max + self._settings.inbox_reserve_items

    def _check_room(self, lane: _Lane | None, size: int) -> None:
        limits = self._settings
        if self.items >= limits.inbox_items_max or self.size + size > limits.inbox_bytes_max:
            raise LimitReached(
                f"the engine's inbox is full ({self.items} of {limits.inbox_items_max} inputs, {self.size} of "
                f"{limits.inbox_bytes_max} bytes): try again in a moment"
            )
        if lane is None:
            return
        if len(lane.entries) >= limits.tenant_inbox_items_max or lane.size + size > limits.tenant_inbox_bytes_max:
            raise LimitReached(
                f"this tenant's share of the inbox is full ({len(lane.entries)} of {limits.tenant_inbox_items_max} inputs, "
                f"{lane.size} of {limits.tenant_inbox_bytes_max} bytes): try again in a moment, or call less often"
            )

    def _take_from_first(self, cost_max: int) -> Portion:
        tenant_no, lane = next(iter(self._lanes.items()))
        entries, cost, size = lane.entries, 0, 0
        taken: list[Entry] = []
        while entries and cost < cost_max and size < self._settings.tenant_turn_bytes_max:
            entry = entries.popleft()
            cost += cost_of(entry.item)
            size += entry.size
            taken.append(entry)
        lane.size -= size
        self._after_taking(tenant_no, lane, taken)
        self.items -= len(taken)
        self.size -= size
        return Portion(tenant_no, taken, cost)

    def _after_taking(self, tenant_no: TenantNo, lane: _Lane, taken: list[Entry]) -> None:
        if not lane.entries:
            del self._lanes[tenant_no]
            return
        self._lanes.move_to_end(tenant_no)
        if lane.signs:
            lane.signs.difference_update(entry.item.worker_id for entry in taken if type(entry.item) is WorkerSeen)
