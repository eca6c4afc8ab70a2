"""Definitions come in, runs go out: registration of workflows, triggers, cancel and replay requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from limpet.core import claims, pauses, runs
from limpet.core.affinity import check_labels
from limpet.core.claim_rows import ClaimRow
from limpet.core.clock_starts import lacks_keys
from limpet.core.decision import EventSource
from limpet.core.definition_rules import check_definition
from limpet.core.definition_text import checksum, encode_definition
from limpet.core.definitions import PRIORITY_MAX, PRIORITY_MIN, WorkflowDefinition
from limpet.core.errors import InvalidArgument, LimitReached, NotFound, NotSupported, WorkflowChanged
from limpet.core.gates import text_of
from limpet.core.ids import RunKey, VersionKey, WorkflowId, WorkflowKey, WorkflowRunId, WorkflowVersionId
from limpet.core.inputs import (
    CancelRequested,
    KeyTaken,
    ReplayRequested,
    RunsTriggered,
    Trigger,
    WorkflowDeleted,
    WorkflowPut,
    WorkflowPutReply,
)
from limpet.core.needs import Found
from limpet.core.rate_definitions import RateValue
from limpet.core.records import LimitKey, Run, TaskRun, UnusableKey, Version, Workflow
from limpet.core.rows import RunStatus
from limpet.core.run_keys import RunKeys
from limpet.core.shared_limits import differences
from limpet.core.state import State, version_row, workflow_row
from limpet.core.undelivered import check_runnable, warnings_of

DEFAULT_PRIORITY = 1


def put_workflow(state: State, item: WorkflowPut) -> WorkflowPutReply:
    """The same definition is the same version; another one is the next (W3.1, W3.2)."""
    definition = item.definition
    check_definition(definition, state.settings)
    text = encode_definition(definition)
    digest = checksum(text)
    workflow = state.workflows.get(definition.name)
    if workflow is not None and workflow.newest is not None and workflow.newest.checksum == digest:
        return WorkflowPutReply(workflow.id, workflow.newest.id, False)
    if workflow is None:
        key = WorkflowKey(state.key())
        workflow = Workflow(key, WorkflowId(state.id_for(key)), definition.name, state.now)
        state.workflows[definition.name] = workflow
        state.changes.workflows.append(workflow_row(workflow, state.tenant_no))
    version_key = VersionKey(state.key())
    number = 1 if workflow.newest is None else workflow.newest.number + 1
    version = Version(version_key, WorkflowVersionId(state.id_for(version_key)), workflow, number, digest, definition)
    workflow.newest = version
    state.versions[version_key] = version
    state.waits.learn(definition)
    state.changes.versions.append(version_row(version, state.tenant_no, state.now))
    state.notices.extend(warnings_of(definition))
    state.notices.extend(differences(definition, _others_in_force(state, workflow)))
    return WorkflowPutReply(workflow.id, version.id, True)


def _others_in_force(state: State, workflow: Workflow) -> Iterator[WorkflowDefinition]:
    return (one.newest.definition for one in state.workflows.values() if one is not workflow and one.newest is not None)


def delete_workflow(state: State, item: WorkflowDeleted) -> Workflow:
    """New triggers by its name find nothing; runs that exist go on (W3.8). Returns what it was."""
    workflow = state.workflow_by_id(item.workflow_id)
    pauses.go_on(state, workflow)
    del state.workflows[workflow.name]
    state.changes.workflows.append(workflow_row(workflow, state.tenant_no, state.now))
    return workflow


def trigger(state: State, item: RunsTriggered, found: Found) -> tuple[WorkflowRunId | KeyTaken, ...]:
    """All items or none (I4). Repeated request ids and known children return the run that exists (I2, I5).

    An item whose idempotency key is held makes no run and leaves the others alone (W16.4).
    """
    if len(item.items) > state.settings.bulk_items_max:
        raise LimitReached(
            f"a bulk trigger may have at most {state.settings.bulk_items_max} items (bulk_items_max), got {len(item.items)}"
        )
    _check_names(state, item.items)
    for one in item.items:
        _check(state, one)
    return tuple(_run_of(state, one, found) for one in item.items)


def checked_workflow(state: State, item: Trigger) -> Workflow:
    """The workflow the item would start a run of now; raises what its trigger would be refused with, but for its keys."""
    _check_names(state, (item,))
    _check_call(state, item)
    check_runnable(_newest(state, item.workflow_name).definition)
    return state.workflows[item.workflow_name]


def workflow_by_key(state: State, key: int) -> Workflow | None:
    """None: it is deleted."""
    return next((workflow for workflow in state.workflows.values() if workflow.key == key), None)


def runnable(workflow: Workflow) -> Version:
    """The version that a run of the workflow would be made of. Raises NotSupported."""
    assert workflow.newest is not None
    check_runnable(workflow.newest.definition)
    return workflow.newest


def startable(state: State, workflow_key: int, what: str, row_id: str) -> tuple[Workflow, Version]:
    """What a cron or a scheduled run starts now. Raises NotFound when its workflow is deleted, NotSupported."""
    workflow = workflow_by_key(state, workflow_key)
    if workflow is None:
        raise NotFound(what, row_id, "its workflow is deleted")
    return workflow, runnable(workflow)


def answered(state: State, workflow_key: int, keys: RunKeys) -> Workflow | None:
    """The workflow for whose version in force an edge has computed the keys; None: they are of no use any more."""
    workflow = workflow_by_key(state, workflow_key)
    if workflow is None or workflow.newest is None or lacks_keys(workflow.newest, keys):
        return None
    return workflow


def refusal_of(workflow: Workflow) -> NotSupported | None:
    """Why no run of it may be made; None: it may."""
    assert workflow.newest is not None
    try:
        check_runnable(workflow.newest.definition)
    except NotSupported as refusal:
        return refusal
    return None


def start(state: State, item: Trigger) -> WorkflowRunId | KeyTaken:
    """A run of a checked item with its keys, that nobody may have started before. Raises InvalidArgument (W16.8)."""
    started = start_run(state, item, None)
    return started if isinstance(started, KeyTaken) else started.id


def start_run(state: State, item: Trigger, source: EventSource | None) -> Run | KeyTaken:
    """The same, for an event when there is a source."""
    name = _key_name(state, item)
    return _holder(state, name) or _open(state, item, None, name, source)


def _check_names(state: State, items: tuple[Trigger, ...]) -> None:
    missing = sorted({one.workflow_name for one in items if one.workflow_name not in state.workflows})
    if missing:
        raise InvalidArgument(
            f"workflow names not found: {', '.join(missing)}; start a worker that registers them, or check the spelling"
        )


def _check(state: State, item: Trigger) -> None:
    """Refuse what cannot be carried out, before anything changes."""
    _check_call(state, item)
    version = _newest(state, item.workflow_name)
    if lacks_keys(version, item.keys):
        raise WorkflowChanged(item.workflow_name)
    check_runnable(version.definition)
    _key_name(state, item)


def _check_call(state: State, item: Trigger) -> None:
    """What holds for the call, whatever the version."""
    limits = state.settings
    if item.priority is not None and not PRIORITY_MIN <= item.priority <= PRIORITY_MAX:
        raise InvalidArgument(f"priority must be between {PRIORITY_MIN} and {PRIORITY_MAX}, got {item.priority}")
    if len(item.input) > limits.payload_bytes_max:
        raise InvalidArgument(f"input has {len(item.input)} bytes; at most {limits.payload_bytes_max} (payload_bytes_max)")
    if len(item.metadata) > limits.metadata_bytes_max:
        raise InvalidArgument(
            f"additional metadata has {len(item.metadata)} bytes; at most {limits.metadata_bytes_max} (metadata_bytes_max)"
        )
    if len(item.desired_labels) > limits.labels_max:
        raise LimitReached(f"a trigger may have at most {limits.labels_max} desired labels (labels_max)")
    check_labels(item.desired_labels, f"trigger of workflow {item.workflow_name}")


def _newest(state: State, name: str) -> Version:
    version = state.workflows[name].newest
    assert version is not None
    return version


def child_ref_of(item: Trigger) -> str | None:
    """What names a child under its parent (W10.3, W10.5); None: not a child."""
    scope = item.parent_task_id or item.parent_run_id
    if scope is None:
        return None
    if item.child_key is not None:
        return f"{scope} k:{item.child_key}"
    return None if item.child_index is None else f"{scope} i:{item.child_index}"


def _run_of(state: State, item: Trigger, found: Found) -> WorkflowRunId | KeyTaken:
    ref = child_ref_of(item)
    known = _known(item, ref, found)
    if known is not None:
        return WorkflowRunId(known)
    name = _key_name(state, item)
    taken = _holder(state, name)
    if taken is not None:
        return taken
    run_id = _open(state, item, ref, name).id
    if item.request_id is not None:
        found.runs_by_request[item.request_id] = run_id
    if ref is not None:
        found.runs_by_ref[ref] = run_id
    return run_id


def _key_name(state: State, item: Trigger) -> bytes | None:
    """The idempotency key that the run is to hold; None: its workflow wants none. Raises InvalidArgument (W16.8)."""
    if _newest(state, item.workflow_name).definition.idempotency is None:
        return None
    assert item.keys is not None
    return claims.checked_name(item.workflow_name, item.keys, state.settings.idempotency_key_bytes_max)


def _holder(state: State, name: bytes | None) -> KeyTaken | None:
    """The run that holds the key (W16.3)."""
    held = None if name is None else state.claims.holder(name, state.now)
    return None if held is None else KeyTaken(held.run_id)


def _open(state: State, item: Trigger, ref: str | None, name: bytes | None, source: EventSource | None = None) -> Run:
    """A new run, which holds the key from its first moment on: its end may free it within this step."""
    run = _new_run(state, item, ref)
    run.source = source
    rule = run.definition.idempotency
    if name is not None and rule is not None:
        stand_in = item.keys.stand_in.encode() if item.keys is not None else b""
        name = name.replace(stand_in, run.id.encode()) if stand_in else name
        state.claims.take(ClaimRow(run.key, state.tenant_no, name, run.id, claims.ends_at(rule, state.now)))
    runs.open_run(state, run)
    return run


def _known(item: Trigger, ref: str | None, found: Found) -> str | None:
    if item.request_id is not None and item.request_id in found.runs_by_request:
        return found.runs_by_request[item.request_id]
    return None if ref is None else found.runs_by_ref.get(ref)


def _new_run(state: State, item: Trigger, ref: str | None) -> Run:
    version = _newest(state, item.workflow_name)
    key = RunKey(state.key())
    run_id = WorkflowRunId(state.id_for(key))
    priority = item.priority or version.definition.default_priority or DEFAULT_PRIORITY
    return Run(
        key,
        run_id,
        version,
        RunStatus.QUEUED,
        len(item.input),
        item.metadata,
        priority,
        version.definition.sticky,
        item.desired_worker_id,
        item.desired_labels,
        state.now,
        parent_run_id=item.parent_run_id,
        parent_task_id=item.parent_task_id,
        child_index=item.child_index,
        child_key=item.child_key,
        child_ref=ref,
        request_id=item.request_id,
        input=item.input,
        keys=_keys_of(state, item.keys, run_id) if item.keys is not None and version.definition.gates else (),
        rates=_rates_of(state, item.keys, run_id) if item.keys is not None and version.definition.computed_rates else (),
    )


def _keys_of(state: State, given: RunKeys, run_id: WorkflowRunId) -> tuple[LimitKey, ...]:
    """The keys as they are kept: with the run's id where its stand-in is, and none that is too long."""
    limit = state.settings.concurrency_key_bytes_max
    found: list[LimitKey] = []
    for key in given.keys:
        if not isinstance(key, UnusableKey):
            text = text_of(key)
            text = text.replace(given.stand_in, run_id) if given.stand_in else text
            bytes_used = len(text.encode())
            if bytes_used > limit:
                key = UnusableKey(f"a concurrency key has {bytes_used} bytes; at most {limit} (concurrency_key_bytes_max)")
            else:
                key = text if isinstance(key, str) else key._replace(key=text)
        found.append(key)
    return tuple(found)


def _rates_of(state: State, given: RunKeys, run_id: WorkflowRunId) -> tuple[RateValue | UnusableKey, ...]:
    """The values of its rate limits as they are kept: as for `_keys_of`."""
    limit = state.settings.rate_limit_name_bytes_max
    found: list[RateValue | UnusableKey] = []
    for value in given.rates:
        if isinstance(value, RateValue) and given.stand_in:
            value = replace(value, name=value.name.replace(given.stand_in, run_id))
        if isinstance(value, RateValue) and ("\0" in value.name or len(value.name.encode()) > limit):
            value = UnusableKey(
                f"the key of a rate limit has {len(value.name.encode())} bytes; at most {limit} (rate_limit_name_bytes_max), "
                "and no NUL character"
            )
        found.append(value)
    return tuple(found)


def cancel(state: State, item: CancelRequested) -> tuple[str, ...]:
    """Runs with all their tasks, or single tasks; what has ended is left out (W12.1, W12.3)."""
    taken: list[str] = []
    for run, tasks in _grouped(state, item.ids):
        taken += runs.cancel_tasks(state, run, tasks)
    return tuple(taken)


def replay(state: State, item: ReplayRequested) -> tuple[str, ...]:
    """Finished runs, or finished tasks with all below them (W12.4 to W12.6)."""
    taken: list[str] = []
    for run, tasks in _grouped(state, item.ids):
        taken += runs.replay(state, run, [task.step for task in tasks])
    return tuple(taken)


def _grouped(state: State, ids: tuple[str, ...]) -> list[tuple[Run, list[TaskRun]]]:
    """The named tasks by run, in the order the runs were named; an id of a run names all its tasks."""
    groups: dict[RunKey, tuple[Run, dict[int, TaskRun]]] = {}
    for one in ids:
        run, named = state.runs.get(one), state.tasks.get(one)
        if run is not None:
            groups.setdefault(run.key, (run, {}))[1].update(run.tasks)
        elif named is not None:
            groups.setdefault(named.run.key, (named.run, {}))[1][named.step] = named
    return [(run, [tasks[step] for step in sorted(tasks)]) for run, tasks in groups.values()]
