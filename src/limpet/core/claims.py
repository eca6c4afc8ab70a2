"""Idempotency keys: which a step asks for, who holds them, who takes them (specification: workflows, section 16).

Laws:
1. Memory holds no claim between steps, however many keys are held (R52): the step asks the store for those it names.
2. A claim is part of the commit that opens its run, and its release part of the commit that ends it (I1, W16.6).
3. An expired claim is no claim, whether its row is purged or not (F9.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from limpet.core.claim_rows import ClaimRow
from limpet.core.decision import Changes
from limpet.core.definitions import Idempotency
from limpet.core.errors import InvalidArgument
from limpet.core.ids import Instant
from limpet.core.records import UnusableKey
from limpet.core.run_keys import RunKeys

RESERVED = "hatchet_internal_"  # keys that official engines give away themselves [W16.8]


class Claims:
    """The claims that the step under way knows, as they stand by now. One owner: `State`."""

    def __init__(self) -> None:
        self.begin({})

    def begin(self, found: Mapping[bytes, ClaimRow]) -> None:
        """Start a step with what the store knows of the keys it names."""
        self._held = dict(found)
        self._names = {row.key: name for name, row in found.items()}
        self._taken: dict[int, ClaimRow] = {}
        self._dropped: dict[int, None] = {}

    def holder(self, name: bytes, now: Instant) -> ClaimRow | None:
        """The claim that stands in the way."""
        row = self._held.get(name)
        return row if row is not None and row.expires_at > now else None

    def take(self, row: ClaimRow) -> None:
        """A run holds the key from now on; what held it before has expired."""
        expired = self._held.get(row.name)
        if expired is not None:
            self.release(expired.key)
        self._held[row.name] = self._taken[row.key] = row
        self._names[row.key] = row.name

    def release(self, run_key: int) -> None:
        """Whatever key the run holds is free; harmless when it holds none any more."""
        name = self._names.pop(run_key, None)
        if name is not None:
            del self._held[name]
        if self._taken.pop(run_key, None) is None:
            self._dropped[run_key] = None

    def collect(self, changes: Changes) -> None:
        """Turn what changed into rows; what came and went within the step leaves none."""
        changes.claims += self._taken.values()
        changes.claims_dropped += self._dropped


def names_of(runs: Iterable[RunKeys]) -> Iterator[bytes]:
    """The idempotency keys that these runs want."""
    for keys in runs:
        if isinstance(keys.idempotency, str):
            yield keys.idempotency.encode()


def checked_name(workflow: str, keys: RunKeys, bytes_max: int) -> bytes:
    """The idempotency key of a run to be. Raises InvalidArgument for one that cannot be used (W16.8)."""
    key = keys.idempotency
    assert key is not None, f"workflow {workflow} wants an idempotency key, and the edge gave none"
    if isinstance(key, UnusableKey):
        raise InvalidArgument(f"workflow {workflow}: no idempotency key, so no run: {key.error}")
    if key.startswith(RESERVED):
        raise InvalidArgument(f"workflow {workflow}: an idempotency key must not begin with {RESERVED}; choose another prefix")
    name = key.encode()
    if len(name) > bytes_max:
        raise InvalidArgument(
            f"workflow {workflow}: an idempotency key has {len(name)} bytes; at most {bytes_max} (idempotency_key_bytes_max); "
            "checksum(…) makes a short one"
        )
    return name


def ends_at(rule: Idempotency, now: Instant) -> int:
    """When a claim of now expires (W16.5)."""
    return now + rule.ttl_us
