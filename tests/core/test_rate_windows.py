"""RL1 over random lives: what is started never exceeds what the limits give, and every attempt takes all its units, once.

The model is the law in its own words: a window begins with the first unit taken of a full limit.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limpet.core.ids import Instant
from limpet.core.rate_windows import RateWindow, window_end
from limpet.testing.builders import computes, make_task, takes
from limpet.testing.scenario import Scenario

LIMITS = {
    "api": (4, RateWindow.SECOND),
    "all": (7, RateWindow.MINUTE),
    "ada": (2, RateWindow.SECOND),
    "bob": (1, RateWindow.MINUTE),
}
UNITS = {
    "cheap": lambda user: {"api": 1},
    "dear": lambda user: {"api": 3, "all": 1},
    "personal": lambda user: {"all": 1, user: 1},
    "whole": lambda user: {"api": 4},
}


class Model:
    """A limit by the law: when its window began, and what has been taken since."""

    def __init__(self, limit: int, window: RateWindow) -> None:
        self.limit, self.window = limit, window
        self.begun: int | None = None
        self.taken = 0
        self.takings: list[tuple[int, int]] = []

    def left(self, now: int) -> int:
        if self.begun is not None and window_end(self.window, Instant(self.begun)) <= now:
            self.begun, self.taken = None, 0
        return self.limit - self.taken

    def take(self, units: int, now: int) -> None:
        assert self.left(now) >= units, f"{units} of {self.left(now)} units were taken"
        self.begun = now if self.begun is None else self.begun
        self.taken += units
        self.takings.append((now, units))

    def most_in_a_span(self) -> int:
        """The most units taken in any span as long as the window."""
        return max(
            (
                sum(units for at, units in self.takings if start <= at < window_end(self.window, Instant(start)))
                for start, _ in self.takings
            ),
            default=0,
        )


class Life(Scenario):
    """Every start is entered into the model of each limit it takes of."""

    def __init__(self) -> None:
        super().__init__(checks_reload=True)
        self.models = {name: Model(*limit) for name, limit in LIMITS.items()}
        self.users: dict[str, str] = {}
        for name in ("api", "all"):
            self.rate_limit(name, *LIMITS[name])
        self.workflow("cheap", make_task("c", action="a", rates=[takes("api")], retries=1))
        self.workflow("dear", make_task("d", action="a", rates=[takes("all"), takes("api", 3)]), priority=3)
        self.workflow("whole", make_task("w", action="b", rates=[takes("api", 4)]))
        for user in ("ada", "bob"):
            self.workflow(f"personal-{user}", self._personal(user))
        self.worker("w1", ["a", "b"], slots=3)
        self.worker("w2", ["a"], slots=2)

    def _personal(self, user: str):  # type: ignore[no-untyped-def]
        use = computes("who", "size", window=LIMITS[user][1])
        return make_task(f"p-{user}", action="a", rates=[takes("all"), use], schedule_timeout=20)

    def start(self, kind: str, user: str) -> None:
        name = f"personal-{user}" if kind == "personal" else kind
        run = self.trigger(name, keys={"who": user, "size": LIMITS[user][0]})
        self.users[run] = kind + " " + user

    def react(self, delivery):  # type: ignore[no-untyped-def]
        known = len(self.log.starts)
        found = super().react(delivery)
        for start in self.log.starts[known:]:
            self._enter(start.message.task_name)
        return found

    def _enter(self, task: str) -> None:
        kind = {"c": "cheap", "d": "dear", "w": "whole"}.get(task, "personal")
        for name, units in UNITS[kind](task.removeprefix("p-")).items():
            self.models[name].take(units, self.now)

    def compare(self) -> None:
        """What a list shows is what the model has left: nothing was spent without a start, and no start without its units."""
        for name, model in self.models.items():
            assert (shown := self.units(name)) is None or shown[0] == model.left(self.now), name


def end_one(s: Life, n: int, well: bool) -> None:
    live = [task for task in s.machine.state.tasks.values() if task.status.is_live]
    if live:
        (s.complete if well else s.fail)(live[n % len(live)].id)


def cancel_one(s: Life, n: int, _: bool) -> None:
    tasks = list(s.machine.state.tasks)
    if tasks:
        s.cancel(tasks[n % len(tasks)])


OPERATIONS: tuple[Callable[[Life, int, bool], None], ...] = (
    lambda s, n, flag: s.start(tuple(UNITS)[n % 4], "ada" if flag else "bob"),
    lambda s, n, flag: s.start(tuple(UNITS)[n % 4], "ada" if flag else "bob"),
    lambda s, n, flag: s.start(tuple(UNITS)[n % 4], "ada" if flag else "bob"),
    end_one,
    end_one,
    cancel_one,
    lambda s, n, far: s.advance(n * 7 if far else n / 8),
    lambda s, n, far: s.advance(n / 8),
    lambda s, n, _: s.restart(down_for=n / 4),
)
STEPS = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 9), st.booleans()), min_size=10, max_size=40)


@given(steps=STEPS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_RL1_F4_16_no_life_takes_more_than_the_limits_give(
    steps: list[tuple[Callable[[Life, int, bool], None], int, bool]],
) -> None:
    s = Life()
    for operation, n, flag in steps:
        operation(s, n, flag)
        s.compare()
    for model in s.models.values():
        assert model.most_in_a_span() <= 2 * model.limit
