"""A small scene for each reason why a task can wait: what the engine says in it stands as the example in the guide."""

from __future__ import annotations

import re
from collections.abc import Callable

from limpet.core.definitions import StickyStrategy
from limpet.core.explain import Explanation, Reason
from limpet.core.pause_inputs import WorkflowPaused
from limpet.core.settings import HardStickyPolicy, Settings
from limpet.testing.builders import demand, event, limit, make_task, sleep, takes, us
from limpet.testing.scenario import Scenario

HARD = StickyStrategy.HARD
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Scene = Callable[[], Explanation]


def told(scene: Scene) -> str:
    """What the engine says, with ids shortened as the guide shows them."""
    return UUID.sub("…", scene().text)


def pinned(actions: tuple[str, ...] = ("load", "ask"), *, waits: bool = False) -> Scenario:
    """A HARD run whose first task has completed on w1; `ask` is next, and w2 could take it if it might."""
    s = Scenario(Settings(hard_sticky_policy=HardStickyPolicy.WAIT if waits else HardStickyPolicy.FAIL))
    ask = make_task("ask", "load", labels=[demand("model", "small")])
    s.workflow("chat", make_task("load"), ask, sticky=HARD)
    s.workflow("other", make_task("more", action="load"))
    s.worker("w1", actions, slots=1, labels={"model": "small"})
    s.trigger("chat")
    return s


def complete_load(s: Scenario) -> Explanation:
    s.complete("load")
    s.worker("w2", ("load", "ask"), slots=1, labels={"model": "small"})
    return s.explain("ask")


def placed() -> Explanation:
    s = Scenario()
    s.workflow("thumbnail")
    s.worker("w1")
    s.trigger("thumbnail")
    return s.explain("thumbnail")


def nobody() -> Explanation:
    s = Scenario()
    s.workflow("thumbnail", make_task("thumbnail", action="thumbnail:make"))
    s.trigger("thumbnail")
    return s.explain("thumbnail")


def no_label() -> Explanation:
    s = Scenario()
    s.workflow("train", make_task("train", labels=[demand("gpu", "yes")]))
    s.worker("w1", labels={"gpu": "no"})
    s.worker("w2")
    s.trigger("train")
    return s.explain("train")


def key_full() -> Explanation:
    s = Scenario()
    s.workflow("bill", make_task("bill", concurrency=[limit("input.user")]))
    s.worker("w1")
    runs = [s.trigger("bill", keys={"input.user": "ada"}) for _ in range(3)]
    return s.explain("bill", runs[2])


def paused() -> Explanation:
    s = Scenario()
    workflow = s.workflow("mail")
    s.worker("w1")
    s.do(WorkflowPaused(workflow.workflow_id, us(3600)))
    s.trigger("mail")
    s.advance(12)
    return s.explain("mail")


def too_small() -> Explanation:
    s = Scenario()
    s.workflow("render", make_task("render", slots=8))
    s.worker("w1", slots=4)
    s.trigger("render")
    return s.explain("render")


def pin_label() -> Explanation:
    s = pinned()
    s.label("w1", model="large")
    return complete_load(s)


def pin_busy() -> Explanation:
    s = pinned()
    s.trigger("other", priority=3)
    return complete_load(s)


def pin_paused() -> Explanation:
    s = pinned()
    s.pause("w1")
    return complete_load(s)


def pin_disconnected() -> Explanation:
    s = pinned()
    s.close_stream("w1")
    return complete_load(s)


def pin_gone() -> Explanation:
    s = pinned(waits=True)
    s.pause("w1")
    complete_load(s)
    s.unsubscribe("w1")
    return s.explain("ask")


def pin_lacks_action() -> Explanation:
    return complete_load(pinned(("load",), waits=True))


def fleet(*, act: Callable[[Scenario], None]) -> Explanation:
    s = Scenario()
    s.workflow("thumbnail")
    s.worker("w1", slots=1)
    s.worker("w2", slots=1)
    act(s)
    s.trigger("thumbnail")
    return s.explain("thumbnail")


def all_paused(s: Scenario) -> None:
    s.pause("w1")
    s.pause("w2")


def all_disconnected(s: Scenario) -> None:
    s.close_stream("w1")
    s.close_stream("w2")


def some_of_both(s: Scenario) -> None:
    s.pause("w1")
    s.close_stream("w2")


def all_busy(s: Scenario) -> None:
    s.trigger("thumbnail")
    s.trigger("thumbnail")


def held() -> Explanation:
    s = Scenario()
    s.workflow("heavy", make_task("heavy", action="work", slots=2))
    s.workflow("light", make_task("light", action="work"))
    s.worker("w1", slots=2)
    first = s.trigger("light")
    s.trigger("light")
    s.trigger("heavy", priority=3)
    s.complete("light", first)
    s.trigger("light")
    return s.explain("light")


def backing_off() -> Explanation:
    s = Scenario()
    s.workflow("fetch", make_task("fetch", retries=3, backoff=2.0))
    s.worker("w1")
    s.trigger("fetch")
    s.fail("fetch")
    return s.explain("fetch")


def for_parents() -> Explanation:
    s = Scenario()
    s.workflow("pair", make_task("first"), make_task("second", "first"))
    s.worker("w1")
    run = s.trigger("pair")
    s.complete("first")
    s.complete("second")
    s.replay(run)
    return s.explain("second")


def metered(limit_value: int | None, *before: int) -> Scenario:
    """A task that takes five units of a limit; others have taken some."""
    s = Scenario()
    s.workflow("fetch", make_task("fetch", rates=[takes("api", 5)]))
    for number, units in enumerate(before):
        s.workflow(f"first-{number}", make_task("first", action="fetch", rates=[takes("api", units)]))
    s.worker("w1")
    if limit_value is not None:
        s.rate_limit("api", limit_value)
    for number in range(len(before)):
        s.trigger(f"first-{number}")
    return s


def spent() -> Explanation:
    s = metered(10, 9)
    s.trigger("fetch")
    return s.explain("fetch")


def rate_limit_paused() -> Explanation:
    s = metered(10)
    s.pause_rate_limit("api", 30)
    s.trigger("fetch")
    return s.explain("fetch")


def rate_limit_too_small() -> Explanation:
    s = metered(3)
    s.trigger("fetch")
    return s.explain("fetch")


def rate_limit_unknown() -> Explanation:
    s = metered(None)
    s.trigger("fetch")
    return s.explain("fetch")


def for_conditions() -> Explanation:
    s = Scenario()
    s.workflow("order", make_task("pack", wait_for=[[sleep(600), event("order:paid")]]))
    s.trigger("order")
    s.advance(12)
    return s.explain("pack")


SCENES: dict[Reason, Scene] = {
    Reason.NONE: placed,
    Reason.NO_WORKER_FOR_ACTION: nobody,
    Reason.NO_LABEL_MATCH: no_label,
    Reason.CAPACITY_TOO_SMALL: too_small,
    Reason.PIN_LABEL_MISMATCH: pin_label,
    Reason.PIN_BUSY: pin_busy,
    Reason.PIN_PAUSED: pin_paused,
    Reason.PIN_DISCONNECTED: pin_disconnected,
    Reason.PIN_GONE: pin_gone,
    Reason.PIN_LACKS_ACTION: pin_lacks_action,
    Reason.WORKERS_PAUSED: lambda: fleet(act=all_paused),
    Reason.WORKERS_DISCONNECTED: lambda: fleet(act=all_disconnected),
    Reason.WORKERS_UNAVAILABLE: lambda: fleet(act=some_of_both),
    Reason.NO_FREE_SLOT: lambda: fleet(act=all_busy),
    Reason.WORKFLOW_PAUSED: paused,
    Reason.CONCURRENCY_FULL: key_full,
    Reason.RATE_LIMITED: spent,
    Reason.RATE_LIMIT_PAUSED: rate_limit_paused,
    Reason.RATE_LIMIT_TOO_SMALL: rate_limit_too_small,
    Reason.RATE_LIMIT_UNKNOWN: rate_limit_unknown,
    Reason.SLOTS_HELD: held,
    Reason.BACKING_OFF: backing_off,
    Reason.WAITING_FOR_PARENTS: for_parents,
    Reason.CONDITION_UNMET: for_conditions,
}
