"""Which workflows start on which events: keys and patterns of the newest versions, and the filters between them.

Laws:
1. Everything is in memory, bounded by `filters_max` and `filters_bytes_max`; rows of filters are made at the end of a step.
2. An edge that evaluates filters works with candidates and names their stamps; a stamp is never given twice, so the core
   sees what has changed in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from limpet.core.decision import Changes
from limpet.core.event_rows import FilterRow
from limpet.core.records import Workflow

ANY = "*"  # in a key: any run of characters (F5.8)
KNOWN_MAX = 4_096  # event keys with their scope whose candidates are remembered


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that an event may start.

    stamp:      names the workflow, or one state of its filter
    filter_id:  None: the workflow has no filters, so every event passes (F5.16)
    expression: of that filter; payload: what it has to say, a JSON object
    """

    stamp: int
    workflow_name: str
    filter_id: str | None = None
    expression: str = ""
    payload: bytes = b"{}"


class Subscriptions:
    """One owner: `State`.

    filters: by id; size: bytes of all their texts
    """

    def __init__(self, filters: Iterable[FilterRow] = ()) -> None:
        self._plain: dict[str, dict[int, Workflow]] = {}
        self._patterns: dict[str, dict[int, Workflow]] = {}
        self._keys_of: dict[int, tuple[str, ...]] = {}
        self._by_scope: dict[int, dict[str, dict[int, FilterRow]]] = {}
        self._known: dict[tuple[str, str | None], tuple[Candidate, ...]] = {}
        self.filters: dict[str, FilterRow] = {}
        self.size: int = 0
        for row in filters:
            self._enter(row)
        self._changed: dict[int, FilterRow | None] = {}
        self._born: set[int] = set()

    def subscribe(self, workflow: Workflow, keys: Iterable[str]) -> None:
        """From now on the workflow starts on these event keys, and on no others."""
        self.unsubscribe(workflow)
        self._keys_of[workflow.key] = tuple(keys)
        for key in self._keys_of[workflow.key]:
            self._table(key).setdefault(key, {})[workflow.key] = workflow

    def unsubscribe(self, workflow: Workflow) -> None:
        """It starts on no event any more."""
        for key in self._keys_of.pop(workflow.key, ()):
            table = self._table(key)
            table[key].pop(workflow.key)
            if not table[key]:
                del table[key]
        self._known.clear()

    def filters_of(self, workflow: Workflow) -> list[FilterRow]:
        """All of a workflow, oldest first."""
        rows = (row for rows in self._by_scope.get(workflow.key, {}).values() for row in rows.values())
        return sorted(rows)

    def put(self, row: FilterRow, *, is_new: bool = False) -> None:
        """The filter as it stands from now on."""
        old = self.filters.get(row.id)
        if old is not None:
            self._leave(old)
        self._enter(row)
        self._changed[row.key] = row
        if is_new:
            self._born.add(row.key)

    def drop(self, row: FilterRow) -> None:
        """The filter is gone."""
        self._leave(row)
        self._changed[row.key] = None

    def candidates(self, name: str, scope: str | None) -> tuple[Candidate, ...]:
        """What an event with that key and scope may start: workflows by age, of each the filters of that scope by age."""
        found = self._known.get((name, scope))
        if found is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            found = self._known[name, scope] = tuple(self._find(name, scope))
        return found

    def collect(self, changes: Changes) -> None:
        """Turn what changed into rows; what came and went within the step leaves none."""
        if self._changed:
            changes.filters += [row for row in self._changed.values() if row is not None]
            changes.filters_dropped += [key for key, row in self._changed.items() if row is None and key not in self._born]
            self._changed.clear()
            self._born.clear()

    def _table(self, key: str) -> dict[str, dict[int, Workflow]]:
        return self._patterns if ANY in key else self._plain

    def _enter(self, row: FilterRow) -> None:
        self.filters[row.id] = row
        self._by_scope.setdefault(row.workflow_key, {}).setdefault(row.scope, {})[row.key] = row
        self.size += size_of(row.scope, row.expression, row.payload)
        self._known.clear()

    def _leave(self, row: FilterRow) -> None:
        del self.filters[row.id]
        scopes = self._by_scope[row.workflow_key]
        del scopes[row.scope][row.key]
        if not scopes[row.scope]:
            del scopes[row.scope]
        if not scopes:
            del self._by_scope[row.workflow_key]
        self.size -= size_of(row.scope, row.expression, row.payload)
        self._known.clear()

    def _find(self, name: str, scope: str | None) -> Iterator[Candidate]:
        workflows = dict(self._plain.get(name, {}))
        for pattern, others in self._patterns.items():
            if matches(pattern, name):
                workflows.update(others)  # a workflow with two patterns that match is there once (F5.9)
        for key in sorted(workflows):
            scopes = self._by_scope.get(key)
            if scopes is None:
                yield Candidate(key, workflows[key].name)
            elif scope is not None:
                for row in sorted(scopes.get(scope, {}).values()):
                    yield Candidate(row.revision, workflows[key].name, row.id, row.expression, row.payload)


def matches(pattern: str, name: str) -> bool:
    """Whether the name is what the pattern says; `*` stands for any run of characters, everything else for itself.

    The pieces between the stars are looked for one behind the other, each as far ahead as possible: one pass, whatever the
    pattern.
    """
    first, *pieces = pattern.split(ANY)
    if not pieces:
        return name == pattern
    *middle, last = pieces
    if not name.startswith(first) or len(name) < len(first) + len(last):
        return False
    place, end = len(first), len(name) - len(last)
    for piece in middle:
        place = name.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return name.endswith(last)


def size_of(scope: str, expression: str, payload: bytes) -> int:
    """What a filter counts towards `filters_bytes_max`."""
    return len(scope.encode()) + len(expression.encode()) + len(payload)
