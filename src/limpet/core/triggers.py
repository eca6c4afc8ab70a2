"""Definitions come in, runs go out: registration of workflows, triggers, cancel and replay requests."""

from __future__ import annotations

from dataclasses import replace

from limpet.core import runs
from limpet.core.affinity import check_labels
from limpet.core.decision import EventSource
from limpet.core.definition_rules import check_definition
from limpet.core.definition_text import checksum, encode_definition
from limpet.core.definitions import PRIORITY_MAX, PRIORITY_MIN
from limpet.core.errors import InvalidArgument, LimitReached, NotFound, NotSupported, WorkflowChanged
from limpet.core.ids import RunKey, VersionKey, WorkflowId, WorkflowKey, WorkflowRunId, WorkflowVersionId
from limpet.core.inputs import (
    CancelRequested,
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
    return WorkflowPutReply(workflow.id, version.id, True)


def delete_workflow(state: State, item: WorkflowDeleted) -> Workflow:
    """New triggers by its name find nothing; runs that exist go on (W3.8). Returns what it was."""
    workflow = next((w for w in state.workflows.values() if w.id == item.workflow_id), None)
    if workflow is None:
        raise NotFound("workflow", item.workflow_id)
    del state.workflows[workflow.name]
    state.changes.workflows.append(workflow_row(workflow, state.tenant_no, state.now))
    return workflow


def trigger(state: State, item: RunsTriggered, found: Found) -> tuple[WorkflowRunId, ...]:
    """All items or none (I4). Repeated request ids and known children return the run that exists (I2, I5)."""
    if len(item.items) > state.settings.bulk_items_max:
        raise LimitReached(
            f"a bulk trigger may have at most {state.settings.bulk_items_max} items (bulk_items_max), got {len(item.items)}"
        )
    _check_names(state, item.items)
    for one in item.items:
        _check(state, one)
    return tuple(_run_of(state, one, found) for one in item.items)


def checked_workflow(state: State, item: Trigger) -> Workflow:
    """The workflow the item would start a run of now; raises what its trigger would be refused with."""
    _check_names(state, (item,))
    check_startable(state.workflows[item.workflow_name])
    _check(state, item)
    return state.workflows[item.workflow_name]


def workflow_by_key(state: State, key: int) -> Workflow | None:
    """None: it is deleted."""
    return next((workflow for workflow in state.workflows.values() if workflow.key == key), None)


def check_startable(workflow: Workflow) -> None:
    """Raises NotSupported for a workflow that cannot be started by the clock: the keys of its limits come from an edge."""
    assert workflow.newest is not None
    if workflow.newest.definition.is_computed:
        what = "concurrency limits" if workflow.newest.definition.gates else "rate limits with computed keys or units"
        raise NotSupported(f"Workflow {workflow.name} has {what}; this engine does not start such workflows by the clock yet")
    check_runnable(workflow.newest.definition)


def refusal_of(workflow: Workflow) -> NotSupported | None:
    """Why no run of it may be made; None: it may."""
    assert workflow.newest is not None
    try:
        check_runnable(workflow.newest.definition)
    except NotSupported as refusal:
        return refusal
    return None


def unusable_keys(workflow: Workflow, why: str) -> RunKeys | None:
    """Values that fail the run with that sentence (F2.8); None for a workflow that computes none."""
    version = workflow.newest
    assert version is not None
    if not version.definition.is_computed:
        return None
    definition, unusable = version.definition, UnusableKey(why)
    return RunKeys(
        version.id, tuple(unusable for _ in definition.gates), rates=tuple(unusable for _ in definition.computed_rates)
    )


def start(state: State, item: Trigger) -> WorkflowRunId:
    """A run of a checked item that nobody may have started before."""
    return start_run(state, item, None).id


def start_run(state: State, item: Trigger, source: EventSource | None) -> Run:
    """The same, for an event when there is a source."""
    run = _new_run(state, item, None)
    run.source = source
    runs.open_run(state, run)
    return run


def _check_names(state: State, items: tuple[Trigger, ...]) -> None:
    missing = sorted({one.workflow_name for one in items if one.workflow_name not in state.workflows})
    if missing:
        raise InvalidArgument(
            f"workflow names not found: {', '.join(missing)}; start a worker that registers them, or check the spelling"
        )


def _check(state: State, item: Trigger) -> None:
    """Refuse what cannot be carried out, before anything changes."""
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
    version = _newest(state, item.workflow_name)
    if version.definition.is_computed and (item.keys is None or item.keys.version_id != version.id):
        raise WorkflowChanged(item.workflow_name)
    check_runnable(version.definition)


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


def _run_of(state: State, item: Trigger, found: Found) -> WorkflowRunId:
    ref = child_ref_of(item)
    known = _known(item, ref, found)
    if known is not None:
        return WorkflowRunId(known)
    run = _new_run(state, item, ref)
    if item.request_id is not None:
        found.runs_by_request[item.request_id] = run.id
    if ref is not None:
        found.runs_by_ref[ref] = run.id
    runs.open_run(state, run)
    return run.id


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
        if isinstance(key, str):
            key = key.replace(given.stand_in, run_id) if given.stand_in else key
            bytes_used = len(key.encode())
            if bytes_used > limit:
                key = UnusableKey(f"a concurrency key has {bytes_used} bytes; at most {limit} (concurrency_key_bytes_max)")
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
