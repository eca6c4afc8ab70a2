"""The life of a run: made from a trigger, carried on when a task ends, finished, cancelled, replayed."""

from __future__ import annotations

from limpet.core import attempts, graph, pins, waiting
from limpet.core.affinity import can_never_match, described
from limpet.core.decision import PayloadRef, RunFinished, TaskResult
from limpet.core.gates import is_competing, unusable_key
from limpet.core.graph import Fate
from limpet.core.ids import TaskKey, TaskRunId
from limpet.core.lifecycle import Cause, after, final_run_status, open_run_status
from limpet.core.queue import base_labels
from limpet.core.rate_demand import unusable_rate
from limpet.core.records import Run, TaskRun
from limpet.core.rows import SKIPPED_OUTPUT, EventType, RunStatus, TaskStatus
from limpet.core.state import State
from limpet.core.undelivered import warnings_of
from limpet.core.waiting import Ruling
from limpet.core.waits import Wait

ENVELOPE_BYTES = 16 * 1024  # ids, names and braces around the payloads of a start message
_CAUSE_OF_FATE = {
    Fate.QUEUE: Cause.PARENTS_ENDED,
    Fate.SKIP: Cause.ALL_PARENTS_SKIPPED,
    Fate.CANCEL: Cause.PARENT_UNSUCCESSFUL,
}


def open_run(state: State, run: Run) -> None:
    """A new run: its root tasks are created and queued (W4.1)."""
    state.remember(run)
    state.run_changed(run)
    pins.set_initial_pin(state, run)
    ended: list[TaskRun] = []
    for step in graph.roots(run.definition):
        ended += _create(state, run, step, Fate.QUEUE)
    _notes_of_birth(state, run)
    follow(state, run, ended)


def _notes_of_birth(state: State, run: Run) -> None:
    """What the author asked for and will not get, said on the timeline (ST-14, LB-7)."""
    for text in warnings_of(run.definition):
        state.event(next(iter(run.tasks.values())), EventType.QUEUED, text)
    for task in run.tasks.values():
        if run.sticky is None and run.desired_worker_id is not None:
            text = f"Desired worker {run.desired_worker_id} ignored: workflow {run.definition.name} has no sticky strategy."
            state.event(task, EventType.QUEUED, text)
        for label in base_labels(run, task.step):
            if can_never_match(label):
                state.event(task, EventType.QUEUED, f"Label {described(label)} never matches: texts have no order.")


def _create(state: State, run: Run, step: int, fate: Fate) -> list[TaskRun]:
    """Create the task of a step with the fate it deserves; returns it if it has ended by that."""
    key = TaskKey(state.key())
    task_id = TaskRunId(run.id if run.is_single else state.id_for(key))
    task = TaskRun(key, task_id, run, step, state.now, TaskStatus.PENDING, run.priority, key, state.now)
    run.tasks[step] = task
    state.tasks[task.id] = task
    return settle_fate(state, task, fate)


def settle_fate(state: State, task: TaskRun, fate: Fate) -> list[TaskRun]:
    """Give a task that has not begun what it deserves; returns it if it has ended by that."""
    if fate is Fate.QUEUE:
        return _let_in(state, task)
    cause = (
        Cause.NOTHING_FAILED if fate is Fate.SKIP and task.step == task.run.definition.on_failure_step else _CAUSE_OF_FATE[fate]
    )
    output = SKIPPED_OUTPUT if fate is Fate.SKIP else b""
    attempts.end(state, task, cause, output=output)
    return [task]


def _let_in(state: State, task: TaskRun) -> list[TaskRun]:
    """Nothing but its own conditions stands in the way of the task; returns it if it has ended by that."""
    if not task.definition.conditions:
        return [] if queue_task(state, task) else [task]
    ruling = waiting.begin(state, task)
    return [] if ruling is None else carry_out(state, task, ruling)


def carry_out(state: State, task: TaskRun, ruling: Ruling) -> list[TaskRun]:
    """What the conditions of the task have decided; returns it if it has ended by that."""
    if ruling.cause is Cause.CONDITIONS_MET:
        if waiting.has_waited(state, task):
            task.enqueue_key = state.key()  # its place among equals counts from now: others came meanwhile (PR-10)
        return [] if queue_task(state, task, ruling.cause) else [task]
    is_skip = ruling.cause is Cause.SKIP_CONDITION
    state.event(task, EventType.SKIPPED if is_skip else EventType.CANCELLED, ruling.text)
    attempts.end(state, task, ruling.cause, output=SKIPPED_OUTPUT if is_skip else b"")
    return [task]


def conclude(state: State, wait: Wait, ruling: Ruling) -> None:
    """The conditions of a task have decided: carry that out, and what follows from it."""
    follow(state, wait.run, carry_out(state, wait.run.tasks[wait.step], ruling))


def _conclude_ripe(state: State, run: Run) -> None:
    """What events have decided about tasks of the run comes before what happens to them now."""
    for step in range(len(run.definition.steps)) if state.waits.ripe else ():
        ripe = state.waits.ripe.get((run.key, step))
        if ripe is not None:
            conclude(state, ripe[0], waiting.conclude(state, *ripe))


def queue_task(state: State, task: TaskRun, cause: Cause = Cause.PARENTS_ENDED) -> bool:
    """On its way to a worker; False when it ended instead: payloads too large, key unusable, HARD worker out of reach."""
    too_large = oversize(state, task)
    if too_large is not None:
        attempts.end(state, task, Cause.INPUT_TOO_LARGE, error=too_large)
        return False
    key_error = (unusable_key(task) if task.run.keys else None) or (unusable_rate(task) if task.run.rates else None)
    if key_error is not None:
        attempts.end(state, task, Cause.KEY_UNUSABLE, error=key_error)
        return False
    task.status = after(task.status, cause) if task.status is TaskStatus.PENDING else task.status
    attempts.enqueue(state, task)
    return not fail_if_unplaceable(state, task)


def fail_if_unplaceable(state: State, task: TaskRun) -> bool:
    """End a HARD task whose worker is out of reach for good (ST-23)."""
    error = pins.scheduling_error(state, task)
    if error is None:
        worker = state.workers_by_id.get(task.run.pin_worker_id or "")
        if worker is not None and worker.lost_at is not None:
            pins.watch_grace(state, task.run)
        return False
    attempts.end(state, task, Cause.UNPLACEABLE, error=error)
    return True


def fail_doomed(state: State, run: Run) -> bool:
    """End the run's waiting tasks that have no place any more (ST-20 to ST-23). Returns whether there were any."""
    ended = [task for task in pins.doomed_tasks(state, run) if fail_if_unplaceable(state, task)]
    if ended:
        follow(state, run, ended)
    return bool(ended)


def oversize(state: State, task: TaskRun) -> str | None:
    """A sentence when input, parents' outputs and payloads of awaited events together exceed a client's message limit (X26)."""
    run, limit = task.run, state.settings.message_bytes_max
    parents = [run.tasks[step] for step in run.definition.parent_steps[task.step]]
    events = [(one.subject, seen.payload_bytes) for one, seen in waiting.data_of(state, task) if seen is not None]
    total = run.input_bytes + len(run.metadata) + sum(parent.output_bytes for parent in parents) + ENVELOPE_BYTES
    total += sum(size for _, size in events)
    if total <= limit:
        return None
    sizes = ", ".join(f"{parent.definition.name} {parent.output_bytes} bytes" for parent in parents)
    awaited = f" and awaited events ({', '.join(f'{key} {size} bytes' for key, size in events)})" if events else ""
    return (
        f"Input ({run.input_bytes} bytes) and parents' outputs ({sizes or 'none'}){awaited} together exceed the message limit "
        f"of {limit} bytes; return less, or a reference to where the data lies."
    )


def follow(state: State, run: Run, ended: list[TaskRun]) -> None:
    """Tasks of the run have ended: carry on with those that waited for them, and with the run itself."""
    definition = run.definition
    queue = list(ended)
    while queue:
        task = queue.pop(0)
        statuses = {step: other.status for step, other in run.tasks.items()}
        for step in graph.candidates(definition, task.step):
            known = run.tasks.get(step)
            if known is not None and (known.status is not TaskStatus.PENDING or waiting.is_armed(state, run, step)):
                continue
            verdict = graph.fate(definition, step, statuses)
            if verdict is Fate.WAIT:
                continue
            queue += _create(state, run, step, verdict) if known is None else settle_fate(state, known, verdict)
            statuses[step] = run.tasks[step].status
    update_status(state, run)


def update_status(state: State, run: Run) -> None:
    """The run's status follows from its tasks (G2); a finished run is told to whoever waits, and leaves memory."""
    if run.stage or run.at_gate:
        _review_gates(state, run)
    tasks = run.tasks.values()
    if len(run.tasks) == len(run.definition.steps) and all(task.status.is_terminal for task in tasks):
        status = final_run_status(task.status for task in tasks)
    else:
        any_live = any(task.status.is_live for task in tasks)
        status = open_run_status(is_single=run.is_single, started=run.started_at is not None, any_live=any_live)
    if status is run.status:
        return
    run.status = status
    state.run_changed(run)
    if status.is_terminal:
        run.finished_at = state.now
        _free_key(state, run)
        state.run_ended(run)
        state.deliveries.append(finished_message(run))


def _free_key(state: State, run: Run) -> None:
    """The key of a run that holds it until its end is free with the commit that ends the run (W16.6)."""
    rule = run.definition.idempotency
    if rule is not None and rule.until_end:
        state.claims.release(run.key)


def _review_gates(state: State, run: Run) -> None:
    """The run gives up what it was admitted to once none of its tasks needs it (F2.14)."""
    if not is_competing(run):
        state.gates.leave(run)
        state.run_changed(run)


def finished_message(run: Run) -> RunFinished:
    results = tuple(_result(run.tasks[step]) for step in sorted(run.tasks))
    assert run.finished_at is not None
    return RunFinished(run.id, run.key, run.status, run.finished_at, results)


def _result(task: TaskRun) -> TaskResult:
    name = task.definition.name
    if task.status is TaskStatus.FAILED:
        return TaskResult(task.id, name, task.status, PayloadRef(task.key, name, is_error=True, created_at=task.created_at))
    if task.output_bytes:
        return TaskResult(task.id, name, task.status, PayloadRef(task.key, name, created_at=task.created_at))
    return TaskResult(task.id, name, task.status, None)


def cancel_tasks(state: State, run: Run, tasks: list[TaskRun], *, why: str = "") -> list[TaskRunId]:
    """Cancel those that have not ended; what waits for them follows (CN-1, CN-2, W4.6). `why`: see `attempts.cancel`."""
    _conclude_ripe(state, run)
    taken = [task for task in tasks if not task.status.is_terminal]
    if len(taken) > 1:  # an on-failure task that has not begun gets what the others' ends mean for it (W6.3)
        rescue = run.definition.on_failure_step
        taken = [task for task in taken if task.step != rescue or task.status is not TaskStatus.PENDING]
    for task in taken:
        attempts.cancel(state, task, why=why)
    if taken:
        follow(state, run, taken)
    return [task.id for task in taken]


def replay(state: State, run: Run, steps: list[int]) -> list[TaskRunId]:
    """Run the steps and all below them again (W12.4 to W12.7). Only a finished run is replayed."""
    if not run.status.is_terminal:
        return []
    affected = set(graph.descendants(run.definition, steps)) & set(run.tasks)
    pins.reset_for_replay(state, run, affected)
    run.status, run.finished_at = RunStatus.QUEUED, None
    if len(affected) == len(run.definition.steps):
        run.started_at = None
    state.run_changed(run)
    state.waits.begin_anew(run, affected)
    for step in sorted(affected):
        attempts.reopen(state, run.tasks[step])
    ended: list[TaskRun] = []
    statuses = {step: task.status for step, task in run.tasks.items()}
    for step in sorted(affected):
        verdict = graph.fate(run.definition, step, statuses)
        if verdict is not Fate.WAIT:
            ended += settle_fate(state, run.tasks[step], verdict)
            statuses[step] = run.tasks[step].status
    follow(state, run, ended)
    return [run.tasks[step].id for step in sorted(affected)]
