"""Filters: declared with a workflow or made by a call, changed, deleted (specification: flow control, section 5c)."""

from __future__ import annotations

from limpet.core.definitions import DefaultFilter, WorkflowDefinition
from limpet.core.errors import LimitReached, NotFound
from limpet.core.event_inputs import FilterCreated, FilterDeleted, FilterUpdated
from limpet.core.event_rows import FilterRow
from limpet.core.event_rules import check_filter
from limpet.core.records import Version, Workflow
from limpet.core.state import State
from limpet.core.subscriptions import size_of


def declare(state: State, version: Version) -> None:
    """A new version brings its event keys and filters; filters made by calls stay (F5.22, W3.6)."""
    workflow, definition = version.workflow, version.definition
    state.subscriptions.subscribe(workflow, definition.events)
    old: dict[DefaultFilter, FilterRow] = {}
    for row in state.subscriptions.filters_of(workflow):
        if row.declared:
            old[DefaultFilter(row.expression, row.scope, row.payload)] = row
    for wanted in dict.fromkeys(definition.filters):
        if old.pop(wanted, None) is None:
            _create(state, workflow, wanted, declared=True)
    for row in old.values():
        state.subscriptions.drop(row)


def check_room(state: State, definition: WorkflowDefinition) -> None:
    """Raises LimitReached when the filters of a definition would not fit beside those that stay."""
    workflow = state.workflows.get(definition.name)
    old = [row for row in state.subscriptions.filters_of(workflow) if row.declared] if workflow is not None else []
    size = sum(size_of(one.scope, one.expression, one.payload) for one in definition.filters)
    _check_room(state, len(definition.filters) - len(old), size - sum(map(_size, old)))


def forget(state: State, workflow: Workflow) -> None:
    """The workflow is deleted: so are its filters."""
    state.subscriptions.unsubscribe(workflow)
    for row in state.subscriptions.filters_of(workflow):
        state.subscriptions.drop(row)


def create(state: State, item: FilterCreated) -> FilterRow:
    """By a call; it counts from the next event on (F5.21)."""
    workflow = next((one for one in state.workflows.values() if one.id == item.workflow_id), None)
    if workflow is None:
        raise NotFound("workflow", item.workflow_id, "a filter belongs to a workflow that is registered")
    wanted = DefaultFilter(item.expression, item.scope, item.payload)
    check_filter("filter", wanted, state.settings)
    _check_room(state, 1, size_of(item.scope, item.expression, item.payload))
    return _create(state, workflow, wanted, declared=False)


def update(state: State, item: FilterUpdated) -> FilterRow:
    """What is given replaces what was there."""
    row = _known(state, item.filter_id)
    wanted = DefaultFilter(
        row.expression if item.expression is None else item.expression,
        row.scope if item.scope is None else item.scope,
        row.payload if item.payload is None else item.payload,
    )
    check_filter(f"filter {row.id}", wanted, state.settings)
    grown = size_of(wanted.scope, wanted.expression, wanted.payload) - _size(row)
    _check_room(state, 0, grown)
    changed = row._replace(
        scope=wanted.scope, expression=wanted.expression, payload=wanted.payload, revision=state.key(), updated_at=state.now
    )
    state.subscriptions.put(changed)
    return changed


def delete(state: State, item: FilterDeleted) -> FilterRow:
    """Without its last filter a workflow starts on every event again (B64)."""
    row = _known(state, item.filter_id)
    state.subscriptions.drop(row)
    return row


def _create(state: State, workflow: Workflow, wanted: DefaultFilter, *, declared: bool) -> FilterRow:
    key = state.key()
    row = FilterRow(
        key, state.id_for(key), state.tenant_no, workflow.key, int(declared), state.now, wanted.scope, wanted.expression,
        wanted.payload, key, state.now,
    )  # fmt: skip
    state.subscriptions.put(row, is_new=True)
    return row


def _check_room(state: State, more: int, more_bytes: int) -> None:
    limits, known = state.settings, state.subscriptions
    if len(known.filters) + more > limits.filters_max:
        raise LimitReached(f"this tenant may have {limits.filters_max} event filters (filters_max): delete some first")
    if more_bytes > 0 and known.size + more_bytes > limits.filters_bytes_max:
        raise LimitReached(
            f"the event filters of this tenant may have {limits.filters_bytes_max} bytes together (filters_bytes_max): "
            "delete some, or make their payloads smaller"
        )


def _size(row: FilterRow) -> int:
    return size_of(row.scope, row.expression, row.payload)


def _known(state: State, filter_id: str) -> FilterRow:
    row = state.subscriptions.filters.get(filter_id)
    if row is None:
        raise NotFound("filter", filter_id, "it never existed in this tenant, or was deleted")
    return row
