"""Idempotency keys in a simulated tenant: which workflows have rules, and the laws that one step shows (I1, W16)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from limpet.core.claim_rows import ClaimRow
from limpet.core.claims import names_of
from limpet.core.definitions import Idempotency, WorkflowDefinition
from limpet.core.inputs import KeyTaken
from limpet.core.rows import RunStatus
from limpet.core.run_keys import RunKeys
from tests.simulation.agenda import SECOND
from tests.simulation.oracle import definition_of

if TYPE_CHECKING:
    from tests.simulation.mirror import Step

NAMES = ("one", "two", "three", "run STAND-IN")


def with_rule(definition: WorkflowDefinition, rng: Random) -> WorkflowDefinition:
    """The workflow, now and then with a rule; all share their keys, as the tenant's workflows do (W16.2)."""
    if rng.random() >= 0.25:
        return definition
    return replace(definition, idempotency=Idempotency("input.id", rng.choice((1, 5, 60)) * SECOND, until_end=rng.random() < 0.6))


def laws(step: Step, before: dict[bytes, ClaimRow]) -> Iterator[str]:
    """`before`: who held the keys that this step takes or names."""
    yield from _of_opened(step, before)
    yield from _of_ended(step)
    for reply in step.decision.replies:
        for taken in reply if isinstance(reply, tuple) else ():
            if isinstance(taken, KeyTaken):
                yield from _of_collision(step, before, taken)


def collided(step: Step) -> Iterator[str]:
    """Ids of scheduled runs that came due, and whose keys others held: no run, and nobody is told (W16.7)."""
    for row in step.schedules_dropped:
        versions = [one for one in step.mirror.tables.versions.values() if one.workflow_key == row.workflow_key]
        newest = max(versions, key=lambda version: version.number)
        if definition_of(newest.definition).idempotency is not None:
            yield row.id


def may_collide(step: Step, runs: Iterable[RunKeys]) -> int:
    """How many of these may have started nothing in this step, because somebody holds their keys."""
    held = {name for name, row in step.claims_before.items() if row.expires_at > step.now}
    held |= {row.name for row in step.decision.changes.claims}
    if any(RunStatus(run.status).is_terminal for old, run in step.runs if old is None):
        held.update(name.encode() for name in NAMES)  # one that came and ended in this step held any of them
    return sum(name in held for name in names_of(runs))


def _of_opened(step: Step, before: dict[bytes, ClaimRow]) -> Iterator[str]:
    taken = {row.key: row for row in step.decision.changes.claims}
    dropped = set(step.decision.changes.claims_dropped)
    for old, run in step.runs:
        rule = step.mirror.definition(run).idempotency
        if old is not None or rule is None:
            continue
        row = taken.get(run.key)
        if row is None:
            if not (rule.until_end and RunStatus(run.status).is_terminal):
                yield f"I1: run {run.id} starts and holds no key"
            continue
        held = before.get(row.name)
        if held is not None and held.expires_at > step.now and held.key not in dropped:
            yield f"I1: run {run.id} takes the key {row.name!r}, which run {held.run_id} holds"
        if row.expires_at != run.created_at + rule.ttl_us:
            yield f"W16.5: the key of run {run.id} expires at {row.expires_at}"


def _of_ended(step: Step) -> Iterator[str]:
    for _, run in step.runs:
        rule = step.mirror.definition(run).idempotency
        if rule is not None and rule.until_end and RunStatus(run.status).is_terminal and run.key in step.mirror.tables.claims:
            yield f"W16.6: run {run.id} has ended and still holds its key"


def _of_collision(step: Step, before: dict[bytes, ClaimRow], taken: KeyTaken) -> Iterator[str]:
    rows = [*before.values(), *step.decision.changes.claims]
    opened_and_ended = any(run.id == taken.run_id and RunStatus(run.status).is_terminal for _, run in step.runs)
    if not opened_and_ended and not any(row.run_id == taken.run_id and row.expires_at > step.now for row in rows):
        yield f"W16.3: a trigger is refused for run {taken.run_id}, which holds no key"
