"""Trying again: the same call, later and later, while the store has a passing trouble.

Law: every pause is longer than the one before, up to a bound, and no two engines pause alike (R44).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from limpet.core.ids import SECOND_US, Instant
from limpet.engine.clock import Clock
from limpet.engine.metrics import Metrics
from limpet.engine.settings import EngineSettings
from limpet.store.api import StoreError, TransientStoreError

Entropy = Callable[[int], bytes]
Result = TypeVar("Result")

SAID_AGAIN_US = 5 * SECOND_US  # another cause of the same outage is logged after that; the first moments say many
DOUBLINGS_MAX = 16  # beyond it the bound holds anyway
_log = logging.getLogger(__name__)


class Troubles:
    """What is wrong with the store right now, by the call that fails. Empty: nothing. `now`: the clock."""

    def __init__(self, now: Callable[[], Instant]) -> None:
        self._now = now
        self._by_call: dict[str, str] = {}
        self._said: dict[str, tuple[str, Instant]] = {}  # the last line about each of them
        self._since: Instant | None = None

    def __bool__(self) -> bool:
        return bool(self._by_call)

    def sentences(self) -> list[str]:
        """One for each call that fails at present."""
        return [f"The store refuses to {call}: {text}" for call, text in self._by_call.items()]

    @property
    def lasting_us(self) -> int:
        """How long something has been wrong without a break; 0: nothing is."""
        return 0 if self._since is None else self._now() - self._since

    def begin(self, call: str, error: Exception) -> None:
        """The call failed. An outage is one event; it is logged again only when the cause has become another one."""
        now, text = self._now(), str(error)
        if self._since is None:
            self._since = now
        said, said_at = self._said.get(call, (text, now))
        if call not in self._by_call or (said != text and now - said_at >= SAID_AGAIN_US):
            self._said[call] = text, now
            _log.warning(
                "The store refuses to %s and is tried again until it does: %s", call, error,
                extra={"event": "store.trouble", "call": call},
            )  # fmt: skip
        self._by_call[call] = text

    def end(self, call: str) -> None:
        """The call was answered, whether by success or by a refusal that is no passing trouble."""
        if self._by_call.pop(call, None) is not None:
            self._since = self._since if self._by_call else None
            _log.info("The store answers again when it is asked to %s.", call, extra={"event": "store.recovered", "call": call})


class Patience:
    """Pauses between tries, and the loop around a call that may fail for a while."""

    troubles: Troubles

    def __init__(self, clock: Clock, entropy: Entropy, settings: EngineSettings, metrics: Metrics) -> None:
        self.troubles = Troubles(clock.now)
        self._clock, self._entropy, self._settings, self._metrics = clock, entropy, settings, metrics

    async def pause(self, tries: int) -> None:
        """Wait after the given number of failed tries: doubling, capped, half of it by chance."""
        whole = min(self._settings.backoff_max_us, self._settings.backoff_first_us << min(tries - 1, DOUBLINGS_MAX))
        half = whole // 2
        delay = half + half * self._entropy(1)[0] // 255
        await self._clock.wait_until(Instant(self._clock.now() + delay))

    async def insist(self, call: str, operation: Callable[[], Awaitable[Result]]) -> Result:
        """Repeat a call of the store until it does not fail in passing. `call` completes "the store refuses to …"."""
        tries = 0
        while True:
            try:
                result = await operation()
            except TransientStoreError as error:
                tries += 1
                self.troubles.begin(call, error)
                self._metrics.store_retries.labels(call, "transient").inc()
                await self.pause(tries)
            except StoreError:
                self.troubles.end(call)
                raise
            else:
                self.troubles.end(call)
                return result
