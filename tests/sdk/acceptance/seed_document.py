"""The code of the seed document, with only the name of the package changed. `my_task` is named there and not shown."""

from __future__ import annotations

from limpet import Context, EmptyModel, Hatchet, StickyStrategy, TriggerWorkflowOptions
from limpet.labels import DesiredWorkerLabel

hatchet = Hatchet(debug=True)

sticky_workflow = hatchet.workflow(
    name="StickyWorkflow",
    # Specify a sticky strategy when declaring the workflow
    sticky=StickyStrategy.SOFT,
)


@sticky_workflow.task()
def step1a(input: EmptyModel, ctx: Context) -> dict:
    return {"worker": ctx.worker.id()}


@sticky_workflow.task()
def step1b(input: EmptyModel, ctx: Context) -> dict:
    return {"worker": ctx.worker.id()}


sticky_child_workflow = hatchet.workflow(name="StickyChildWorkflow", sticky=StickyStrategy.SOFT)


@sticky_workflow.task(parents=[step1a, step1b])
async def step2(input: EmptyModel, ctx: Context) -> dict:
    # Run a child workflow on the same worker
    ref = await sticky_child_workflow.aio_run_no_wait(
        options=TriggerWorkflowOptions(sticky=True)
    )  # fmt: skip
    await ref.aio_result()
    return {"worker": ctx.worker.id()}


@sticky_child_workflow.task()
def child(input: EmptyModel, ctx: Context) -> dict:
    return {"worker": ctx.worker.id()}


high_priority_workflow = hatchet.workflow(
    name="HighPriorityWorkflow",
    default_priority=3,  # 1 (low) to 3 (high), default is 1
)


# Or on a standalone task
@hatchet.task(default_priority=3)
def urgent_task(input: EmptyModel, ctx: Context) -> dict:
    return {}


@hatchet.task()
def my_task(input: EmptyModel, ctx: Context) -> dict:
    return {}


def run_with_priority() -> None:
    my_task.run(
        options=TriggerWorkflowOptions(priority=3),
    )


def run_on_a_labelled_worker() -> None:
    my_task.run(
        options=TriggerWorkflowOptions(
            desired_worker_label={
                "affinity": DesiredWorkerLabel(
                    value="foo",
                    required=True,
                ),
            }
        )
    )
