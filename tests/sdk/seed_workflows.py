"""The seed's workflows, with only the name of the package changed."""

from __future__ import annotations

from limpet import Context, EmptyModel, Hatchet, StickyStrategy, TriggerWorkflowOptions
from limpet.labels import DesiredWorkerLabel

hatchet = Hatchet(debug=True)

sticky_workflow = hatchet.workflow(
    name="StickyWorkflow",
    # Specify a sticky strategy when declaring the workflow
    sticky=StickyStrategy.SOFT,
)
sticky_child_workflow = hatchet.workflow(name="StickyChildWorkflow", sticky=StickyStrategy.SOFT)


@sticky_workflow.task()
def step1a(input: EmptyModel, ctx: Context) -> dict:
    return {"worker": ctx.worker.id()}


@sticky_workflow.task()
def step1b(input: EmptyModel, ctx: Context) -> dict:
    return {"worker": ctx.worker.id()}


@sticky_workflow.task(parents=[step1a, step1b])
async def step2(input: EmptyModel, ctx: Context) -> dict:
    # Run a child workflow on the same worker
    ref = await sticky_child_workflow.aio_run_no_wait(options=TriggerWorkflowOptions(sticky=True))
    child_output = await ref.aio_result()
    return {"worker": ctx.worker.id(), "child": child_output["child"]["worker"]}


@sticky_child_workflow.task()
def child(input: EmptyModel, ctx: Context) -> dict:
    return {"worker": ctx.worker.id()}


high_priority_workflow = hatchet.workflow(
    name="HighPriorityWorkflow",
    default_priority=3,  # 1 (low) to 3 (high), default is 1
)


@high_priority_workflow.task()
def important(input: EmptyModel, ctx: Context) -> dict:
    return {"priority": ctx.priority}


# Or on a standalone task
@hatchet.task(default_priority=3)
def urgent_task(input: EmptyModel, ctx: Context) -> dict:
    return {"priority": ctx.priority}


@hatchet.task()
def my_task(input: EmptyModel, ctx: Context) -> dict:
    return {"worker": ctx.worker.id(), "priority": ctx.priority}


WORKFLOWS = [sticky_workflow, sticky_child_workflow, high_priority_workflow, urgent_task, my_task]
FOO_ONLY = {"affinity": DesiredWorkerLabel(value="foo", required=True)}


def main() -> None:
    worker = hatchet.worker("sticky-worker", slots=10, workflows=WORKFLOWS)
    worker.start()


if __name__ == "__main__":
    main()
