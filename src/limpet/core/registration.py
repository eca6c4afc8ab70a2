"""A workflow comes or goes, with all that it brings along: versions, crons, event keys and filters."""

from __future__ import annotations

from limpet.core import crons, event_filters, triggers
from limpet.core.inputs import WorkflowDeleted, WorkflowPut, WorkflowPutReply
from limpet.core.state import State


def put_workflow(state: State, item: WorkflowPut) -> WorkflowPutReply:
    """Only a new version changes anything."""
    event_filters.check_room(state, item.definition)
    reply = triggers.put_workflow(state, item)
    newest = state.workflows[item.definition.name].newest
    if reply.created and newest is not None:
        crons.declare(state, newest)
        event_filters.declare(state, newest)
    return reply


def delete_workflow(state: State, item: WorkflowDeleted) -> None:
    """Nothing starts it any more (W3.8); its crons go when they are due."""
    event_filters.forget(state, triggers.delete_workflow(state, item))
