"""Crons: declared or made by a call, switched, deleted, and due (specification: flow control, section 6)."""

from __future__ import annotations

import msgspec

from limpet.core import cron_time, pauses, triggers
from limpet.core.clock_starts import StartKeyed, asked, lacks_keys
from limpet.core.errors import InvalidArgument, NotAllowed, NotFound, RequestError
from limpet.core.ids import Instant, WorkflowRunId
from limpet.core.inputs import KeyTaken, Trigger
from limpet.core.limits_view import StartAsked
from limpet.core.records import Version, Workflow
from limpet.core.run_keys import RunKeys
from limpet.core.state import State
from limpet.core.timetable_inputs import CronCreated, CronDeleted, CronSwitched, CronTriggered
from limpet.core.timetable_rows import CronMethod, CronRow

EXPRESSION_KEY = "hatchet__cron_expression"  # set by the engine on runs of crons [W9.2]
NAME_KEY = "hatchet__cron_name"
SCHEDULED_AT_KEY = "hatchet__cron_scheduled_at"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def declare(state: State, version: Version) -> None:
    """The crons of a new version replace the declared ones of the last; a switch survives by its expression (F6.9, W3.5)."""
    workflow, definition = version.workflow, version.definition
    declared = [row for row in _of_workflow(state, workflow) if row.method == CronMethod.DECLARED]
    old = {row.expression: row for row in declared}
    for expression in dict.fromkeys(definition.crons):
        row = old.pop(expression, None)
        if row is None:
            _create(state, workflow, "", expression, definition.cron_input, b"{}", None, CronMethod.DECLARED)
        else:
            next_at = row.next_at
            if row.enabled and next_at is None:  # it was put aside, and the new version may be carried out
                next_at = cron_time.next_due(expression, state.now)
            data = definition.cron_input
            state.timetable.put_cron(row._replace(input=data, input_bytes=len(data), next_at=next_at))
    for row in old.values():
        state.timetable.drop_cron(row)


def create(state: State, item: CronCreated) -> CronRow:
    """By a call: named, and unique with its expression (F6.11)."""
    if not item.name or len(item.name) > state.settings.name_bytes_max:
        raise InvalidArgument(f"a cron needs a name of 1 to {state.settings.name_bytes_max} characters, got {item.name[:80]!r}")
    cron_time.check_expression(item.expression)
    workflow = triggers.checked_workflow(state, Trigger(item.workflow_name, item.input, item.metadata, item.priority))
    for row in _of_workflow(state, workflow):
        if (row.name, row.expression) == (item.name, item.expression):
            raise InvalidArgument(
                f"workflow {workflow.name} has a cron {item.name} with the expression {item.expression} already; "
                "delete it first, or use another name"
            )
    return _create(state, workflow, item.name, item.expression, item.input, item.metadata, item.priority, CronMethod.API)


def _of_workflow(state: State, workflow: Workflow) -> list[CronRow]:
    return [row for row in state.timetable.found.crons.values() if row.workflow_key == workflow.key]


def _create(
    state: State, workflow: Workflow, name: str, expression: str, data: bytes, metadata: bytes,
    priority: int | None, method: CronMethod,
) -> CronRow:  # fmt: skip
    key = state.key()
    next_at = cron_time.next_due(expression, state.now)
    row = CronRow(
        key, state.id_for(key), state.tenant_no, workflow.key, name, expression, data, len(data), metadata, priority, 1,
        method, next_at, state.now,
    )  # fmt: skip
    state.timetable.put_cron(row, is_new=True)
    return row


def switch(state: State, item: CronSwitched) -> None:
    """Ticks that fell while it was off are not made up (F6.7)."""
    row = _known(state, item.cron_id)
    if bool(row.enabled) is not item.enabled:
        next_at = cron_time.next_due(row.expression, state.now) if item.enabled else None
        state.timetable.put_cron(row._replace(enabled=int(item.enabled), next_at=next_at))


def delete(state: State, item: CronDeleted) -> None:
    """A declared one would come back with the next version, so it is refused."""
    row = _known(state, item.cron_id)
    if row.method == CronMethod.DECLARED:
        raise NotAllowed(
            f"cron {row.id} ({row.expression}) is declared by its workflow: take it out of the definition, or switch it off"
        )
    state.timetable.drop_cron(row)


def trigger(state: State, item: CronTriggered) -> WorkflowRunId | KeyTaken | StartAsked:
    """Its run, now; the timetable stays as it is (F6.14)."""
    row = _known(state, item.cron_id)
    workflow, version = triggers.startable(state, row.workflow_key, "cron", row.id)
    if lacks_keys(version, item.keys):
        return asked(version, row.id, row.input, _metadata(row, None))
    return _start(state, row, workflow, None, item.keys)


def fire(state: State, row: CronRow, workflow: Workflow | None) -> None:
    """It is due: at most one run, for the newest slot, and the next slot is behind now, in one commit (I3)."""
    if workflow is None:  # deleted; W3.8
        state.timetable.drop_cron(row)
        return
    try:
        version = triggers.runnable(workflow)
        slot, next_at = _due_slot(state, row)
    except RequestError as error:  # made by another release, its time zone is gone (F6.16), or its workflow is not carried out
        state.timetable.put_cron(row._replace(next_at=None))
        state.notices.append(f"Cron {row.id} of workflow {workflow.name} is put aside until it is registered anew: {error}.")
        return
    if slot is None or pauses.drops_crons(workflow):
        state.timetable.put_cron(row._replace(next_at=next_at))
    elif version.definition.is_computed:
        start = asked(version, row.id, row.input, _metadata(row, slot), due_at=row.next_at, slot=slot)
        state.timetable.want_keys(start, state.now)
    else:
        state.timetable.put_cron(row._replace(next_at=next_at))
        _start(state, row, workflow, slot, None)


def keyed(state: State, row: CronRow, item: StartKeyed) -> None:
    """The keys of its slot are there, and fit: its run starts, and the next slot comes, in one commit (I3)."""
    workflow = triggers.answered(state, row.workflow_key, item.keys)
    if workflow is None or item.slot is None or row.next_at != item.due_at:
        return
    state.timetable.put_cron(row._replace(next_at=cron_time.next_due(row.expression, item.slot)))
    if pauses.drops_crons(workflow):
        return
    try:
        _start(state, row, workflow, item.slot, item.keys)
    except InvalidArgument as error:  # nobody is there to be told (W16.7, W16.8)
        state.notices.append(
            f"Cron {row.id} of workflow {workflow.name} started no run for {cron_time.rfc3339(item.slot)}: {error}."
        )


def _due_slot(state: State, row: CronRow) -> tuple[Instant | None, Instant | None]:
    """The slot to run for, and the next one behind now.

    Of several missed slots the newest counts. What passed before this core was loaded counts only when it is a single
    slot and late by no more than a change of owner takes: a restart loses no nightly job, and makes up no ticks (F6.6).
    """
    assert row.next_at is not None
    oldest = max(row.next_at, state.now - state.settings.cron_late_max_us)
    at, slot = cron_time.next_due(row.expression, Instant(oldest - 1)), None
    while at is not None and at <= state.now:
        slot, at = at, cron_time.next_due(row.expression, at)
    counts = slot is not None and (slot >= state.timetable.loaded_at or slot == row.next_at)
    return slot if counts else None, at


def _start(
    state: State, row: CronRow, workflow: Workflow, slot: Instant | None, keys: RunKeys | None
) -> WorkflowRunId | KeyTaken:
    metadata = _metadata(row, slot)
    return triggers.start(state, Trigger(workflow.name, row.input, metadata, row.priority, keys=keys))


def _metadata(row: CronRow, slot: Instant | None) -> bytes:
    """The cron's own, and where the run came from (F6.13)."""
    members: dict[str, object] = dict(_members.decode(row.metadata))
    members[EXPRESSION_KEY] = row.expression
    if row.name:
        members[NAME_KEY] = row.name
    if slot is not None:
        members[SCHEDULED_AT_KEY] = cron_time.rfc3339(slot)
    return msgspec.json.encode(members)


def _known(state: State, cron_id: str) -> CronRow:
    row = state.timetable.found.crons.get(cron_id)
    if row is None:
        raise NotFound("cron", cron_id, "it never existed in this tenant, or was deleted")
    return row
