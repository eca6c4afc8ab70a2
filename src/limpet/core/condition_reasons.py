"""Why a task waits though its parents have ended: which of its conditions are still to come, and when (OB-14)."""

from __future__ import annotations

from collections.abc import Iterator

from limpet.core import condition_text
from limpet.core.conditions import BY_HAPPENING, Action, Condition, Kind
from limpet.core.explain import Explanation, Outlook, Reason
from limpet.core.ids import SECOND_US, Instant
from limpet.core.waits import Decided, Wait


def explain(wait: Wait, task_run_id: str, now: Instant) -> Explanation:
    """Of an armed wait: what it still needs, what may skip or cancel it first, and what would help."""
    rules, met = wait.rules, wait.met(now)
    others = [one for one in (Action.SKIP, Action.CANCEL) if rules.groups(one) and rules.can_hold(one, met)]
    parts = [f"wait_for still needs {_open(wait, Action.QUEUE, met, now)}"]
    parts += [f"{condition_text.LISTS[one]} would come with {_open(wait, one, met, now)}" for one in others]
    at = _decided_by_time(wait)
    outlook = Outlook.NOT_NOW if at is None else Outlook.SOON
    text = f"It waits for its conditions: {'; '.join(parts)}."
    return Explanation(task_run_id, outlook, Reason.CONDITION_UNMET, text, unblock=tuple(_helps(wait, met)))


def explain_ripe(wait: Wait, decided: Decided, task_run_id: str) -> Explanation:
    """Of a wait that an event has decided, together with more others than one step of the engine carries out."""
    why = condition_text.fired(wait.rules, decided.action, wait.met(*decided.moment))
    text = f"Its {why}. An event decided that for many tasks at once, and its turn comes within moments."
    return Explanation(task_run_id, Outlook.SOON, Reason.CONDITION_UNMET, text)


def _open(wait: Wait, action: Action, met: set[int], now: Instant) -> str:
    """`a sleep of 60s (12.5s left) or event paid`."""
    groups = [group for group in wait.rules.groups(action) if not any(place in met for place in group)]
    told = [" or ".join(_left(wait, place, now) for place in group) for group in groups]
    return " and ".join(told[: condition_text.MEMBERS_MAX])


def _left(wait: Wait, place: int, now: Instant) -> str:
    one = wait.rules.conditions[place]
    words = condition_text.described(one)
    if one.kind is Kind.PARENT:
        return f"{words} (it does not hold)"
    if one.kind is not Kind.SLEEP or wait.armed_at is None:
        return words
    return f"{words} ({max(0, wait.armed_at + one.sleep_us - now) / SECOND_US:g}s left)"


def _decided_by_time(wait: Wait) -> Instant | None:
    """When sleeps alone will decide; None: an event has to come."""
    return next((at for at in wait.sleeps_end() if wait.rules.first_to_hold(BY_HAPPENING, wait.met(at)) is not None), None)


def _helps(wait: Wait, met: set[int]) -> Iterator[str]:
    """What would let it run, a sentence each."""
    for group in wait.rules.groups(Action.QUEUE):
        if any(place in met for place in group):
            continue
        for one in map(wait.rules.conditions.__getitem__, group[: condition_text.MEMBERS_MAX]):
            if one.kind is Kind.EVENT:
                yield _push(one)


def _push(one: Condition) -> str:
    scope = f" of scope {one.scope}" if one.scope else ""
    payload = f" with a payload for which {one.expression} is true" if one.expression else ""
    return f"Push an event {one.subject}{scope}{payload}."
