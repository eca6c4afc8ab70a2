"""Whether a sticky child can follow its parent to the worker at all (ST-38)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StickyTarget:
    """A workflow to be started, as far as stickiness is concerned.

    name:             with its namespace
    is_declared_here: a real declaration, no stub and no mere name
    action_ids:       empty for stubs and names: their tasks are not known here
    """

    name: str
    is_declared_here: bool = False
    is_sticky: bool = False
    action_ids: frozenset[str] = frozenset()


def check_sticky_child(target: StickyTarget, worker_action_ids: frozenset[str]) -> None:
    """Raise ValueError when `sticky=True` could not be honoured for this child on the current worker."""
    if target.is_declared_here and not target.is_sticky:
        raise ValueError(
            f"Workflow {target.name!r} is started with sticky=True but declares no sticky strategy. "
            "Declare it with sticky=StickyStrategy.SOFT or HARD."
        )
    if not _is_registered(target, worker_action_ids):
        raise ValueError(
            f"Workflow {target.name!r} is started with sticky=True but is not registered on this worker. "
            "Add it to the worker's workflows, or start it without sticky=True."
        )


def _is_registered(target: StickyTarget, worker_action_ids: frozenset[str]) -> bool:
    if target.action_ids:
        return target.action_ids <= worker_action_ids
    prefix = f"{target.name.lower()}:"
    return any(action_id.startswith(prefix) for action_id in worker_action_ids)
