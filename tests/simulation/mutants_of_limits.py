"""Planted bugs in concurrency limits that workflows share, and in those whose number of runs is computed; as in `mutants`. `surgery`: its `Surgery`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from limpet.core import checks, gates, state
from limpet.core.gates import Gates, Group
from limpet.core.records import Run, SizedKey


def shared_limits_counted_apart(surgery: Any) -> None:
    def name_of(subject: Any, gate: Any) -> Any:
        return real(subject, replace(gate, limit=replace(gate.limit, is_shared=False)))

    real = _rename(surgery, name_of)


def limits_with_a_name_counted_together_for_all_keys(surgery: Any) -> None:
    def name_of(subject: Any, gate: Any) -> Any:
        where, number, key = real(subject, gate)
        return where, number, "" if gate.limit.is_shared else key

    real = _rename(surgery, name_of)


def _rename(surgery: Any, name_of: Any) -> Any:
    """In the core's own check too, so that it finds nothing."""
    surgery.put(checks, "name_of", name_of)
    return surgery.put(gates, "name_of", name_of)


def the_declared_number_counts_where_one_is_computed(surgery: Any) -> None:
    surgery.put(checks, "size_of", lambda subject, gate: gate.limit.max_runs)
    surgery.put(gates, "size_of", lambda subject, gate: gate.limit.max_runs)


def the_first_in_decides_for_all(surgery: Any) -> None:
    """The number of runs of whoever is in counts for those who want in."""

    def has_room(self: Group, subject: Any) -> bool:
        for one in self.held.values():
            for gate in gates.gates_of(one)[: one.stage]:
                if gates.name_of(one, gate) == self.name:
                    return len(self.held) < gates.size_of(one, gate)
        return True

    surgery.put(Group, "has_room", has_room)


def whoever_has_room_overtakes(surgery: Any) -> None:
    def first(self: Group) -> Any:
        ranked = sorted(self.waiting.values(), key=lambda pair: pair[0])
        return next((one for one in ranked if self.has_room(one[1])), None) or real(self)

    real: Any = surgery.put(Group, "first", first)


def everybody_stands_in_line(surgery: Any) -> None:
    def first(self: Group) -> Any:
        return self._line.first(self.waiting) or real(self)

    real: Any = surgery.put(Group, "first", first)


def numbers_of_runs_not_stored(surgery: Any) -> None:
    def run_row(run: Run, tenant_no: Any) -> Any:
        kept, run.keys = run.keys, tuple(key.key if isinstance(key, SizedKey) else key for key in run.keys)
        try:
            return real(run, tenant_no)
        finally:
            run.keys = kept

    real: Any = surgery.put(state, "run_row", run_row)


def shared_groups_not_loaded(surgery: Any) -> None:
    def restore(self: Gates, subject: Any) -> None:
        if not any(gate.limit.is_shared for gate in gates.gates_of(subject)):
            real(self, subject)

    real: Any = surgery.put(Gates, "restore", restore)


LIMIT_MUTANTS = (
    shared_limits_counted_apart,
    limits_with_a_name_counted_together_for_all_keys,
    the_declared_number_counts_where_one_is_computed,
    the_first_in_decides_for_all,
    whoever_has_room_overtakes,
    everybody_stands_in_line,
    numbers_of_runs_not_stored,
    shared_groups_not_loaded,
)
