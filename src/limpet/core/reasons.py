"""Why a waiting task has no place: said by the very functions that place it (OB-13, OB-14; decision 0007)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from limpet.core import affinity, condition_reasons, held_reasons, rate_reasons
from limpet.core.assignment import plan, rewind
from limpet.core.explain import Explanation, Outlook, Reason, Verdict
from limpet.core.gates import Group
from limpet.core.ids import Instant
from limpet.core.placement import is_assignable
from limpet.core.queue import SchedulingClass, order_of
from limpet.core.records import TaskRun, Worker
from limpet.core.rows import TaskStatus
from limpet.core.slots import capable, fits, held_against
from limpet.core.state import State

VERDICTS_MAX = 20  # beyond this many workers, verdicts are grouped by cause
POSITION_MAX = 1_000
PIN_REASONS = {
    "action": Reason.PIN_LACKS_ACTION,
    "label": Reason.PIN_LABEL_MISMATCH,
    "capacity": Reason.CAPACITY_TOO_SMALL,
    "paused": Reason.PIN_PAUSED,
    "disconnected": Reason.PIN_DISCONNECTED,
    "lost": Reason.PIN_DISCONNECTED,
    "silent": Reason.PIN_DISCONNECTED,
    "busy": Reason.PIN_BUSY,
    "held": Reason.PIN_BUSY,
}
RATE_REASONS = frozenset({Reason.RATE_LIMITED, Reason.RATE_LIMIT_PAUSED, Reason.RATE_LIMIT_TOO_SMALL, Reason.RATE_LIMIT_UNKNOWN})
AWAY = frozenset({"disconnected", "lost", "silent"})
FOR_EVER = frozenset({"action", "label", "capacity", "pin"})


Say = Callable[[str, str], Verdict]


class Why(NamedTuple):
    """A dominant reason, its sentence, and whether no order of slot releases would help."""

    reason: Reason
    text: str
    never: bool


def verdict(state: State, cls: SchedulingClass, task: TaskRun, worker: Worker, now: Instant) -> Verdict:
    """What one worker says to the task: the first of the filters that stops it, in the order of assignment section 0."""
    action, labels, request = cls.key[0], cls.key[1], cls.request
    kind = _deciding_type(worker, request)
    asked, total = dict(request).get(kind, 0), worker.slots.get(kind, 0)

    def say(cause: str, text: str) -> Verdict:
        return Verdict(worker.id, worker.name, cause, text, asked=asked, free=worker.free(kind), total=total)

    if action not in worker.actions:
        return say("action", f"does not register the action {action}")
    unmet = affinity.first_unmet(labels, worker.labels)
    if unmet is not None:
        has = affinity.described_value(worker.labels, unmet.key)
        return say("label", f"required label {affinity.described(unmet)}: the worker has {has}")
    if cls.hard and cls.pin != worker.id:
        return say("pin", f"the run is pinned to worker {_named(state, cls.pin)}")
    if not capable(worker, request):
        kind, asked = next((kind, units) for kind, units in request if worker.slots.get(kind, 0) < units)
        total = worker.slots.get(kind, 0)
        text = f"asks for {asked} {kind} slots on one worker; this one has {total} in all"
        return Verdict(worker.id, worker.name, "capacity", text, asked=asked, free=worker.free(kind), total=total)
    return _unavailable(state, worker, now, say) or _no_room(state, cls, task, worker, now, say)


def _unavailable(state: State, worker: Worker, now: Instant, say: Say) -> Verdict | None:
    if worker.lost_at is not None:
        return say("lost", f"lost {_ago(now, worker.lost_at)}; it may come back")
    if worker.paused:
        return say("paused", "paused")
    if not worker.sessions:
        return say("disconnected", f"no open stream; last heard of {_ago(now, worker.seen_at)}")
    if not is_assignable(worker, now, state.settings):
        return say("silent", f"silent; last heard of {_ago(now, worker.seen_at)}")
    return None


def _no_room(state: State, cls: SchedulingClass, task: TaskRun, worker: Worker, now: Instant, say: Say) -> Verdict:
    if not fits(worker, cls.request):
        kind = _deciding_type(worker, cls.request)
        asked, total = dict(cls.request).get(kind, 0), worker.slots.get(kind, 0)
        return say("busy", f"asks for {asked} {kind} slots; {worker.free(kind)} of {total} are free")
    if held_against(worker, order_of(task, now, state.settings), task, now):
        return say("held", "its free slots are kept for a heavier task ahead")
    return say("free", "could take it")


def _deciding_type(worker: Worker, request: tuple[tuple[str, int], ...]) -> str:
    """The slot type that stops the request, or its first."""
    return next((kind for kind, units in request if worker.free(kind) < units), request[0][0] if request else "default")


def why_waiting(state: State, task: TaskRun, now: Instant) -> Why:
    """The one dominant reason of a queued task, or of one that will be, in the order of assignment section 0.

    What no order of slot releases would mend comes before everything else; then a pause, a gate, a rate limit.
    """
    if task.is_parked:
        behind = _why_in_line(state, state.class_of(task), task, now)
        return behind if behind.never else Why(Reason.WORKFLOW_PAUSED, held_reasons.pause_sentence(task, now), False)
    group = state.gates.waits_for(task)
    if group is not None:
        behind = _why_in_line(state, state.class_of(task), task, now)
        return behind if behind.never else Why(Reason.CONCURRENCY_FULL, held_reasons.sentence(group, task), False)
    cls = state.class_of(task) if task.status is TaskStatus.BACKING_OFF else state.queue_of(task)
    return Why(Reason.NONE, "It is not in a queue.", False) if cls is None else _why_in_line(state, cls, task, now)


def _why_in_line(state: State, cls: SchedulingClass, task: TaskRun, now: Instant) -> Why:
    """What keeps the task from a worker once its gates are passed: rate limits first, then the workers (A-0.5, A-0.6)."""
    why = _why_in(state, cls, task, now)
    short = None if why.never else rate_reasons.shortage(state.rates, task, now)
    return why if short is None else Why(short.reason, short.text, short.never)


def _why_in(state: State, cls: SchedulingClass, task: TaskRun, now: Instant) -> Why:
    """The reason that the workers give to a task of that class, over all that are not gone."""
    workers = [w for w in state.workers.values() if w.gone_at is None]
    verdicts = [verdict(state, cls, task, worker, now) for worker in workers]
    if cls.hard:
        return _why_pinned(state, cls, task, verdicts)
    return _why_unpinned(cls, verdicts)


def _why_pinned(state: State, cls: SchedulingClass, task: TaskRun, verdicts: list[Verdict]) -> Why:
    mine = next((v for v in verdicts if v.worker_id == cls.pin), None)
    who = _named(state, cls.pin)
    if mine is None:
        return Why(Reason.PIN_GONE, f"HARD sticky: worker {who} is gone", True)
    reason = PIN_REASONS.get(mine.cause, Reason.NONE)
    return Why(reason, f"HARD sticky: waiting for worker {who}: {mine.text}", mine.cause in FOR_EVER)


def _why_unpinned(cls: SchedulingClass, verdicts: list[Verdict]) -> Why:
    action = cls.key[0]
    offered = [v for v in verdicts if v.cause != "action"]
    if not offered:
        return Why(Reason.NO_WORKER_FOR_ACTION, f"no worker registers {action}", True)
    labelled = [v for v in offered if v.cause != "label"]
    if not labelled:
        label = next(one for one in cls.key[1] if one.required)
        unmet = _common_unmet(offered) or affinity.described(label)
        return Why(Reason.NO_LABEL_MATCH, f"required label {unmet} matched by none of {counted(len(offered))}", True)
    able = [v for v in labelled if v.cause != "capacity"]
    if not able:
        best = max(labelled, key=lambda v: v.total or 0)
        text = f"no free slots (need {best.asked} on one worker; best free {best.free}, capacity max {best.total})"
        return Why(Reason.CAPACITY_TOO_SMALL, text, True)
    return _why_not_now(action, able)


def _why_not_now(action: str, able: list[Verdict]) -> Why:
    causes = {v.cause for v in able}
    if causes == {"paused"}:
        return Why(Reason.WORKERS_PAUSED, _all_of(able, action, "paused"), False)
    if causes <= AWAY:
        return Why(Reason.WORKERS_DISCONNECTED, _all_of(able, action, "disconnected"), False)
    if causes <= AWAY | {"paused"}:
        return Why(Reason.WORKERS_UNAVAILABLE, _all_of(able, action, "paused or disconnected"), False)
    if "free" in causes:
        return Why(Reason.NONE, "a worker is free now", False)
    if "busy" not in causes:
        return Why(Reason.SLOTS_HELD, "free slots are kept for a heavier task ahead", False)
    best = max((v for v in able if v.cause in ("busy", "held")), key=lambda v: v.free or 0)
    capacity = max(v.total or 0 for v in able)
    text = f"no free slots (need {best.asked} on one worker; best free {best.free}, capacity max {capacity})"
    return Why(Reason.NO_FREE_SLOT, text, False)


def counted(number: int) -> str:
    """`1 worker`, `3 workers`."""
    return "1 worker" if number == 1 else f"{number} workers"


def _all_of(able: list[Verdict], action: str, state: str) -> str:
    """`all 3 workers of resize are paused`, `the only worker of resize is paused`."""
    if len(able) == 1:
        return f"the only worker of {action} is {state}"
    return f"all {len(able)} workers of {action} are {state}"


def _common_unmet(verdicts: list[Verdict]) -> str | None:
    """The label text of the first verdict, without the worker's own value."""
    text = verdicts[0].text if verdicts else ""
    return text.removeprefix("required label ").split(": the worker has")[0] or None


def explain_task(state: State, task: TaskRun, now: Instant) -> Explanation:
    """Where the task is, or why it waits, and what would help."""
    if task.status.is_terminal:
        return Explanation(task.id, Outlook.ENDED, Reason.NONE, f"It has ended: {task.status.name}.")
    if task.status.is_live and task.worker is not None:
        text = f"It runs on worker {task.worker.name} ({task.worker.id}), attempt {task.retry_count + 1}."
        return Explanation(task.id, Outlook.RUNNING, Reason.NONE, text, task.worker.id, task.worker.name)
    if task.status is TaskStatus.PENDING:
        wait = state.waits.of(task.run, task.step)
        if wait is not None and wait.name in state.waits.ripe:
            return condition_reasons.explain_ripe(*state.waits.ripe[wait.name], task.id)
        if wait is not None and wait.is_armed:
            return condition_reasons.explain(wait, task.id, now)
        return Explanation(task.id, Outlook.NOT_NOW, Reason.WAITING_FOR_PARENTS, "It waits for its parents to end.")
    if task.status is TaskStatus.BACKING_OFF and task.not_before is not None:
        return _explain_delayed(state, task, task.not_before - now, now)
    if task.is_parked:
        return _explain_parked(state, task, now)
    group = state.gates.waits_for(task)
    return _explain_queued(state, task, now) if group is None else _explain_held(state, task, group, now)


def _explain_delayed(state: State, task: TaskRun, wait_us: int, now: Instant) -> Explanation:
    """Time alone brings it back, but to no avail when nobody could take it then (OB-14)."""
    text = f"It waits {_duration(wait_us)} before its next attempt"
    why = why_waiting(state, task, now)
    if why.never:
        return Explanation(task.id, Outlook.NEVER, why.reason, f"{text}; then: {why.text}.")
    return Explanation(task.id, Outlook.SOON, Reason.BACKING_OFF, f"{text}.")


def _explain_parked(state: State, task: TaskRun, now: Instant) -> Explanation:
    """Its workflow is paused: unpausing it is what would help (WK-33, OB-14)."""
    why = why_waiting(state, task, now)
    if why.never:
        return Explanation(task.id, Outlook.NEVER, why.reason, f"{why.text}.")
    return Explanation(
        task.id, Outlook.NOT_NOW, why.reason, f"{why.text}.", unblock=tuple(held_reasons.pause_helps(task))
    )  # fmt: skip


def _explain_held(state: State, task: TaskRun, group: Group, now: Instant) -> Explanation:
    """It waits before a gate: for those who are in, and behind those who stand ahead (OB-14)."""
    why = why_waiting(state, task, now)
    position = min(held_reasons.ahead(group, task) + 1, POSITION_MAX)
    return Explanation(
        task.id,
        Outlook.NEVER if why.never else Outlook.NOT_NOW,
        why.reason,
        f"{why.text}; position {position}{'+' if position >= POSITION_MAX else ''} in its order.",
        position=position,
        position_capped_at=POSITION_MAX,
        unblock=() if why.never else tuple(held_reasons.helps(group, task)),
    )


def _explain_queued(state: State, task: TaskRun, now: Instant) -> Explanation:
    chosen, why, verdicts = _after_the_next_step(state, task, now)
    if chosen is not None:
        text = f"It is placed on worker {chosen.name} ({chosen.id}) with the next step."
        return Explanation(task.id, Outlook.NOW, Reason.NONE, text, chosen.id, chosen.name)
    if not task.in_queue:
        return Explanation(task.id, Outlook.NOT_NOW, Reason.NONE, "Its schedule timeout has passed; it ends with the next step.")
    as_it_is = why_waiting(state, task, now)
    outlook = Outlook.NEVER if as_it_is.never else Outlook.NOT_NOW
    why = as_it_is if as_it_is.never else why
    position = _position(state, task, now)
    text = f"{why.text}; position {position}{'+' if position >= POSITION_MAX else ''} in its order."
    return Explanation(
        task.id,
        outlook,
        why.reason,
        text,
        position=position,
        position_capped_at=POSITION_MAX,
        verdicts=tuple(_grouped(verdicts)),
        unblock=_helps(state, task, why, verdicts, now),
    )


def _helps(state: State, task: TaskRun, why: Why, verdicts: list[Verdict], now: Instant) -> tuple[str, ...]:
    """What would help a task with that reason, a sentence each."""
    short = rate_reasons.shortage(state.rates, task, now) if why.reason in RATE_REASONS else None
    return tuple(_unblock(state.queue_of(task), task, verdicts)) if short is None else rate_reasons.helps(short)


def _after_the_next_step(state: State, task: TaskRun, now: Instant) -> tuple[Worker | None, Why, list[Verdict]]:
    """The worker that the next step gives the task, else what it will wait for once others have taken theirs.

    Found by planning and undoing it.
    """
    made = plan(state, now)
    chosen = next((p.worker for p in made.placements if p.task is task), None)
    why = why_waiting(state, task, now)
    workers = [w for w in state.workers.values() if w.gone_at is None]
    cls = state.queue_of(task)
    verdicts = [] if cls is None else [verdict(state, cls, task, worker, now) for worker in workers]
    rewind(state, made, now)
    return chosen, why, verdicts


def _position(state: State, task: TaskRun, now: Instant) -> int:
    """1 for the first among all waiting tasks that compete for the same workers, or for the same rate limit, capped."""
    own = state.queue_of(task)
    assert own is not None
    order = order_of(task, now, state.settings)
    tap = own.lane_of(task).tap
    if tap is not None and not tap.is_open:
        return min(POSITION_MAX, 1 + state.rates.waiting_before(tap.bucket, order, POSITION_MAX))
    rivals = {cls.id: cls for cls in state.classes_in(own.pool)}
    for member in own.pool.members.values():
        for cls in state.classes_of(member.worker):
            rivals[cls.id] = cls
    ahead = 0
    for cls in rivals.values():
        ahead += cls.before(order, POSITION_MAX - ahead)
        if ahead >= POSITION_MAX - 1:
            return POSITION_MAX
    return ahead + 1


def _grouped(verdicts: list[Verdict]) -> list[Verdict]:
    """All verdicts, or one for each cause when there are many workers."""
    if len(verdicts) <= VERDICTS_MAX:
        return verdicts
    by_cause: dict[str, list[Verdict]] = defaultdict(list)
    for one in verdicts:
        by_cause[one.cause].append(one)
    return [_with_count(group[0], len(group)) for group in by_cause.values()]


def _with_count(one: Verdict, count: int) -> Verdict:
    return Verdict(one.worker_id, one.worker_name, one.cause, one.text, count, one.asked, one.free, one.total)


def _unblock(cls: SchedulingClass | None, task: TaskRun, verdicts: list[Verdict]) -> list[str]:
    """What would help, most specific first; a sentence each. For a HARD run only what helps its own worker."""
    action = task.definition.action_id
    if cls is not None and cls.hard:
        verdicts = [v for v in verdicts if v.worker_id == cls.pin]
        if not verdicts or verdicts[0].cause == "action":
            return ["Replay the run, so that it chooses a worker anew."]
    causes = {v.cause: v for v in verdicts}
    hints = {
        "paused": "Unpause worker {name} ({id}).",
        "busy": "Wait for a slot, give the workers more slots, or start another worker.",
        "held": "Wait for the heavier task ahead, or start another worker.",
        "disconnected": "Bring worker {name} ({id}) back.",
        "silent": "Look at worker {name} ({id}): it is connected and says nothing.",
        "lost": "Bring worker {name} ({id}) back.",
        "capacity": "Start a worker with at least {asked} slots, or lower the task's slot cost.",
        "label": "Start a worker that matches, or change a worker's labels; now {text}.",
    }
    found = [
        text.format(name=causes[c].worker_name, id=causes[c].worker_id, asked=causes[c].asked, text=causes[c].text)
        for c, text in hints.items()
        if c in causes
    ]
    return found or [f"Start a worker that registers {action}."]


def _named(state: State, worker_id: str | None) -> str:
    worker = state.workers_by_id.get(worker_id or "")
    return f"{worker.name} ({worker.id})" if worker is not None else str(worker_id)


def _ago(now: Instant, then: Instant) -> str:
    return f"{_duration(now - then)} ago"


def _duration(us: int) -> str:
    return f"{max(0, us) / 1_000_000:.3g} s"
