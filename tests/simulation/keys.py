"""The edge's part in limits: it computes the values of a trigger from the workflow version in force (R3, R52).

Nobody evaluates expressions here: chance says what they would give, now and then a key that cannot be computed.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from limpet.core.inputs import RunsTriggered, Trigger
from limpet.core.machine import Machine
from limpet.core.records import LimitKey, UnusableKey
from limpet.core.run_keys import RunKeys
from tests.simulation.meters import choose_value

KEYS = ("", "ada", "ada", "bob")


def with_keys(core: Machine, item: RunsTriggered, rng: Random) -> RunsTriggered:
    """The same triggers with keys for the limits that this core knows now."""
    return RunsTriggered(tuple(_with_keys(core, one, rng) for one in item.items))


def _with_keys(core: Machine, item: Trigger, rng: Random) -> Trigger:
    limits = core.limits_of(item.workflow_name)
    if limits is None:
        return item
    keys = tuple(_key(rng) for _ in limits.expressions)
    meters = Random(rng.random()) if limits.rates else rng
    return replace(item, keys=RunKeys(limits.version_id, keys, rates=tuple(choose_value(use, meters) for use in limits.rates)))


def _key(rng: Random) -> LimitKey:
    return UnusableKey("failed to parse step expression (x)") if rng.random() < 0.02 else rng.choice(KEYS)
