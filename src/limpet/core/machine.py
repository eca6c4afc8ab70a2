"""The core of one tenant: `step` takes what happened and answers with everything that follows.

Laws:
1. Pure: no I/O, no clock, no chance, no float time; `now` and the salt of ids are handed in (R1, decision 0001).
2. One step is: what was found is remembered, inputs in order, due deadlines, gates, then placing, then rows.
3. A refused input has changed nothing. A broken invariant asserts; the loop then drops this memory and loads it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from limpet.core import (
    attempts,
    awaiting,
    checks,
    concurrency,
    deadlines,
    due,
    event_filters,
    events,
    fleet,
    loading,
    notices,
    pauses,
    rate_limits,
    registration,
    reports,
    run_needs,
    runs,
    schedules,
    triggers,
    views,
    webhooks,
)
from limpet.core.assignment import plan
from limpet.core.decision import Decision
from limpet.core.errors import RequestError
from limpet.core.event_inputs import EventsPushed, ExpressionFailed, FilterCreated, FilterDeleted, FilterUpdated
from limpet.core.explain import Explanation
from limpet.core.ids import Instant, TenantNo
from limpet.core.inputs import (
    CancelRequested,
    Input,
    LabelsUpserted,
    ReplayRequested,
    RunsTriggered,
    SlotReleased,
    StartUndeliverable,
    StreamClosed,
    StreamOpened,
    TaskCompleted,
    TaskFailed,
    TaskGaveUp,
    TaskStarted,
    TimeoutRefreshed,
    TimePassed,
    WorkerPaused,
    WorkerRegistered,
    WorkerSeen,
    WorkerUnsubscribed,
    WorkflowDeleted,
    WorkflowPut,
)
from limpet.core.limits_view import LimitsView
from limpet.core.needs import Found, Needs, Snapshot
from limpet.core.pause_inputs import WorkflowPaused, WorkflowUnpaused
from limpet.core.rate_inputs import RateLimitDeleted, RateLimitPaused, RateLimitPut
from limpet.core.rate_views import RatesView, of_rates
from limpet.core.reasons import explain_task
from limpet.core.settings import Settings
from limpet.core.state import State
from limpet.core.subscriptions import Candidate
from limpet.core.timers import Due
from limpet.core.timetable_inputs import SchedulesCreated
from limpet.core.timetable_rows import earliest
from limpet.core.webhook_inputs import WebhookCreated, WebhookDeleted, WebhookUpdated

Handler = Callable[[State, Any], object]


def _nothing(state: State, item: TimePassed) -> None:
    """Time is looked at in every step."""


HANDLERS: dict[type, Handler] = {
    TaskCompleted: reports.completed,
    TaskStarted: reports.started,
    TaskFailed: reports.failed,
    TaskGaveUp: reports.gave_up,
    WorkerSeen: fleet.on_seen,
    SlotReleased: reports.slot_released,
    TimeoutRefreshed: reports.timeout_refreshed,
    CancelRequested: triggers.cancel,
    ReplayRequested: triggers.replay,
    WorkflowPut: registration.put_workflow,
    WorkflowDeleted: registration.delete_workflow,
    WorkerRegistered: fleet.register,
    StreamOpened: fleet.open_stream,
    StreamClosed: fleet.close_stream,
    LabelsUpserted: fleet.upsert_labels,
    WorkerPaused: fleet.pause,
    WorkerUnsubscribed: fleet.unsubscribe,
    StartUndeliverable: reports.undeliverable,
    TimePassed: _nothing,
    RateLimitPut: rate_limits.put,
    RateLimitPaused: rate_limits.pause,
    RateLimitDeleted: rate_limits.delete,
    WorkflowPaused: pauses.pause,
    WorkflowUnpaused: pauses.unpause,
    FilterCreated: event_filters.create,
    FilterUpdated: event_filters.update,
    FilterDeleted: event_filters.delete,
    ExpressionFailed: events.expression_failed,
    WebhookCreated: webhooks.create,
    WebhookUpdated: webhooks.update,
    WebhookDeleted: webhooks.delete,
    **due.HANDLERS,
}


class Machine:
    """Pure state machine of one tenant."""

    def __init__(self, state: State) -> None:
        self.state = state

    @classmethod
    def load(
        cls,
        snapshot: Snapshot,
        *,
        tenant_no: TenantNo,
        now: Instant,
        salt: bytes,
        settings: Settings | None = None,
        seen: Mapping[str, int] | None = None,
    ) -> Machine:
        """Rebuild from the store.

        salt: 16 or more bytes of chance; external ids are digests under it
        seen: last signs of life by worker id that this process knows (R31); others begin at `now`
        """
        return cls(
            loading.load(snapshot, tenant_no=tenant_no, now=now, salt=salt[:64], settings=settings or Settings(), seen=seen or {})
        )

    def needs(self, inputs: Sequence[Input]) -> Needs:
        """What the store must be asked before `step(inputs)` (R52)."""
        needs = Needs()
        for item in inputs:
            if isinstance(item, RunsTriggered):
                for one in item.items:
                    if one.request_id is not None:
                        needs.request_ids.add(one.request_id)
                    if (ref := triggers.child_ref_of(one)) is not None:
                        needs.child_refs.add(ref)
            elif isinstance(item, ReplayRequested):
                needs.run_or_task_ids.update(i for i in item.ids if i not in self.state.runs and i not in self.state.tasks)
            elif isinstance(item, EventsPushed):
                needs.event_ids.update(event.id for event in item.events if item.is_repeatable)
            elif isinstance(item, WorkflowPut | SchedulesCreated) or type(item) in due.HANDLERS:
                due.add_needs(self.state, item, needs)
            run_needs.add_needs(self.state, item, needs)
        needs.rate_limits.update(self.state.rates.unread)
        needs.look_backs += self.state.waits.to_ask(self.state.settings.look_backs_max)
        self.state.timetable.ask(needs.timetable, self.state.now, self.state.settings.due_batch_max)
        return needs

    def step(self, inputs: Sequence[Input], now: Instant, found: Found | None = None) -> Decision:
        """Handle all inputs, then due deadlines, then place waiting tasks.

        now: must not go back; found: what the store knew of `needs(inputs)`
        """
        replies = self.apply(inputs, now, found)
        self.place()
        state = self.state
        changes = state.collect()
        return Decision(changes, replies, state.deliveries, self.wake_at, dict(state.stale), list(state.notices))

    def apply(self, inputs: Sequence[Input], now: Instant, found: Found | None = None) -> list[object]:
        """The first half of a step: everything but placing. `explain` may be asked between the halves."""
        state = self.state
        assert now >= state.now, f"time went back from {state.now} to {now}"
        state.begin(now)
        loading.fold_empty_receipts(state)
        found = found or Found()
        state.timetable.begin(found.timetable)
        rate_limits.arrived(state, state.rates.begin(found.rate_limits))
        state.claims.begin(found.claims)
        if found.runs:
            loading.hydrate(state, found)
        awaiting.looked_back(state, found.look_backs)
        replies = [self._handle(item, found) for item in inputs]
        due.fire_due(state)
        deadlines.pass_time(state)
        awaiting.carry_on(state)
        concurrency.settle(state)
        return replies

    def place(self) -> None:
        """The second half of a step: waiting tasks go to free slots, also those that follow from the placing."""
        state = self.state
        while self._place_once():
            pass
        notices.for_newcomers(state)
        for task in state.queued_now.values():
            if task.in_queue:
                deadlines.watch_age(state, task)
        state.arm_queued()

    def _place_once(self) -> bool:
        """One plan, carried out. Returns whether others may wait now, or stand elsewhere, because of it."""
        state = self.state
        made = plan(state, state.now)
        state.settle_down()
        for placement in made.placements:
            attempts.start(state, placement)
            runs.update_status(state, placement.task.run)
        for tap in made.closed:
            rate_limits.watch(state, tap.bucket)
            notices.watch_tap(state, tap)
        for worker, _, task, _ in made.holds:
            if worker.hold is not None and worker.hold.task is task:
                state.timers.arm(worker.hold.until, Due.HOLD, worker)
        pinned = [placement.task.run for placement in made.placements if placement.pin_before is not None]
        doomed = sum(runs.fail_doomed(state, run) for run in pinned)
        admitted = concurrency.settle(state)  # in the place of those that have just ended
        moved_up = state.settings.depth_first and bool(made.placements)  # a run that starts moves its tasks up
        return admitted or doomed > 0 or moved_up

    def _handle(self, item: Input, found: Found) -> object:
        """The reply to one input, or the error it is refused with."""
        try:
            if isinstance(item, RunsTriggered):
                return triggers.trigger(self.state, item, found)
            if isinstance(item, EventsPushed):
                return events.push(self.state, item, found)
            if isinstance(item, SchedulesCreated):
                return schedules.create(self.state, item, found)
            return HANDLERS[type(item)](self.state, item)
        except RequestError as refusal:
            return refusal

    @property
    def wake_at(self) -> Instant | None:
        """When time alone will next change something; at once when another step is to follow."""
        if self.state.rates.unread or self.state.waits.ripe or self.state.waits.looking:
            return self.state.now
        at = earliest(self.state.timers.next_at(), self.state.timetable.wake_at)
        return None if at is None else Instant(at)

    def workers(self) -> list[views.WorkerView]:
        """All workers that are not forgotten, by registration."""
        return [views.of_worker(worker) for worker in self.state.workers.values()]

    def worker(self, worker_id: str) -> views.WorkerView | None:
        """One worker, by id."""
        worker = self.state.workers_by_id.get(worker_id)
        return None if worker is None else views.of_worker(worker)

    def signs_of_life(self) -> dict[str, int]:
        """Last sign of life by worker id; handed to the next `load` within this process (R31)."""
        return {worker.id: worker.seen_at for worker in self.state.workers.values()}

    def started_at(self, task_run_ids: Sequence[str]) -> dict[str, int]:
        """Receipts of live attempts, by task run id."""
        found = ((one, self.state.tasks.get(one)) for one in task_run_ids)
        return {one: task.started_at for one, task in found if task is not None and task.started_at is not None}

    def limits_of(self, workflow_name: str) -> LimitsView | None:
        """What an edge evaluates before it triggers the workflow; None: it computes nothing, or is unknown."""
        workflow = self.state.workflows.get(workflow_name)
        if workflow is None or workflow.newest is None or not workflow.newest.definition.is_computed:
            return None
        return views.limits_of(workflow.newest)

    def candidates(self, event_key: str, scope: str | None) -> tuple[Candidate, ...]:
        """What an edge evaluates before it hands in an event."""
        return self.state.subscriptions.candidates(event_key, scope)

    def output_view(self, task_run_id: str) -> views.OutputView | None:
        """What an edge evaluates before it reports the task's output; None: nothing looks at it, or no such task lives."""
        task = self.state.tasks.get(task_run_id)
        expressions = () if task is None else task.run.definition.output_expressions[task.step]
        return None if task is None or not expressions else views.OutputView(task.run.version.id, expressions)

    def rates(self, now: Instant) -> RatesView:
        """The rate limits that code names, and who waits for units."""
        return of_rates(self.state, now)

    def awaited(self, event_key: str) -> tuple[str, ...]:
        """What an edge evaluates on the payload of such an event before it hands the event in."""
        return self.state.waits.expressions(event_key)

    def explain(self, task_run_id: str, now: Instant) -> Explanation | None:
        """Why a task waits, or where it is. None: not in memory, so ended or unknown."""
        task = self.state.tasks.get(task_run_id)
        return None if task is None else explain_task(self.state, task, now)

    def check(self) -> list[str]:
        """The ●-invariants of reliability section 4; one sentence for each violation."""
        return checks.violations(self.state)
