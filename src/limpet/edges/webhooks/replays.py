"""Signatures that were right a short while ago: the same post again is a replay, not a second event (X20)."""

from __future__ import annotations

from collections import OrderedDict

KEPT_S = 600.0  # twice what a signed time may be off [X20]
KEPT_MAX = 100_000  # of all webhooks together; the oldest go first, which is 166 posts a second for the whole time


class Replays:
    """In memory, for schemes that sign no time; a signature over a time names its event for good (see `receiving`)."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def take(self, webhook_id: str, signature: str, now_s: float) -> bool:
        """Whether the signature is new; it counts from now on."""
        while self._seen and (len(self._seen) >= KEPT_MAX or next(iter(self._seen.values())) <= now_s - KEPT_S):
            self._seen.popitem(last=False)
        if (webhook_id, signature) in self._seen:
            return False
        self._seen[webhook_id, signature] = now_s
        return True

    def forget(self, webhook_id: str, signature: str) -> None:
        """The post was refused after all: it may come again."""
        self._seen.pop((webhook_id, signature), None)
