"""The edge's part in limits: it computes the values of a trigger from the workflow version in force (R3, R52).

Nobody evaluates expressions here: chance says what they would give, now and then a key that cannot be computed.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from limpet.core.clock_starts import StartKeyed, StartsKeyed
from limpet.core.decision import KeysWanted
from limpet.core.inputs import RunsTriggered, Trigger
from limpet.core.limits_view import LimitsView
from limpet.core.machine import Machine
from limpet.core.records import LimitKey, UnusableKey
from limpet.core.run_keys import RunKeys
from tests.simulation.claims import NAMES
from tests.simulation.meters import choose_value

KEYS = ("", "ada", "ada", "bob")


def with_keys(core: Machine, item: RunsTriggered, rng: Random) -> RunsTriggered:
    """The same triggers with keys for the limits that this core knows now."""
    return RunsTriggered(tuple(_with_keys(core, one, rng) for one in item.items))


def answer(wanted: KeysWanted, rng: Random) -> StartsKeyed:
    """What an edge would say to a question of the clock's."""
    return StartsKeyed(tuple(StartKeyed(one.row_id, one.due_at, one.slot, keys_of(one.limits, rng)) for one in wanted.starts))


def _with_keys(core: Machine, item: Trigger, rng: Random) -> Trigger:
    limits = core.limits_of(item.workflow_name)
    if limits is None:
        return item
    return replace(item, keys=keys_of(limits, rng))


def keys_of(limits: LimitsView, rng: Random) -> RunKeys:
    """What the expressions give for one run."""
    keys = tuple(_key(rng) for _ in limits.expressions)
    idempotency = None if limits.idempotency is None else rng.choice(NAMES)
    meters = Random(rng.random()) if limits.rates else rng
    rates = tuple(choose_value(use, meters) for use in limits.rates)
    return RunKeys(limits.version_id, keys, "STAND-IN", rates, idempotency)


def _key(rng: Random) -> LimitKey:
    return UnusableKey("failed to parse step expression (x)") if rng.random() < 0.02 else rng.choice(KEYS)
