"""The seed document's code runs, and its tasks are where it says they are: AC-17, AC-37."""

from __future__ import annotations

import asyncio
import importlib
import sys
from types import ModuleType

import pytest

from limpet.testing.embedded import EmbeddedEngine

MODULE = "tests.sdk.acceptance.seed_document"


@pytest.fixture
def seed(limpet_environment: dict[str, str]) -> ModuleType:
    """The module, whose client reads the variables when it is imported."""
    sys.modules.pop(MODULE, None)
    return importlib.import_module(MODULE)


async def test_AC17_a_sticky_run_and_its_sticky_child_share_a_worker(seed: ModuleType, limpet_engine: EmbeddedEngine) -> None:
    offers = [seed.sticky_workflow, seed.sticky_child_workflow]
    workers = [seed.hatchet.worker(f"sticky-worker-{number}", slots=10, workflows=offers) for number in range(2)]
    async with workers[0], workers[1]:
        ref = await seed.sticky_workflow.aio_run_no_wait()
        outputs = await ref.aio_result()
        [child] = await seed.sticky_child_workflow.aio_list_runs()
        await limpet_engine.aio_assert_same_worker(ref, child.workflow_run_external_id)
    assert outputs.keys() == {"step1a", "step1b", "step2"}
    assert len({output["worker"] for output in outputs.values()}) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_AC37_the_run_goes_to_the_labelled_worker(seed: ModuleType, limpet_engine: EmbeddedEngine) -> None:
    foo = seed.hatchet.worker("foo", slots=10, workflows=[seed.my_task], labels={"affinity": "foo"})
    bar = seed.hatchet.worker("bar", slots=10, workflows=[seed.my_task], labels={"affinity": "bar"})
    async with bar, foo:
        for _ in range(4):
            await asyncio.to_thread(seed.run_on_a_labelled_worker)
        runs = await seed.my_task.aio_list_runs()
        for run in runs:
            await limpet_engine.aio_assert_ran_on(run.workflow_run_external_id, foo)
    assert len(runs) == 4


async def test_the_priorities_order_what_waits(seed: ModuleType, limpet_engine: EmbeddedEngine) -> None:
    async with seed.hatchet.worker("w", slots=1, workflows=[seed.urgent_task, seed.my_task]) as worker:
        await worker.exit_gracefully()  # registered, so that runs can be started; nobody runs them yet
    low = await seed.my_task.aio_run_no_wait()
    urgent = await seed.urgent_task.aio_run_no_wait()
    async with seed.hatchet.worker("w2", slots=1, workflows=[seed.urgent_task, seed.my_task]):
        await limpet_engine.aio_assert_order(urgent, low)
        await asyncio.to_thread(seed.run_with_priority)
        await limpet_engine.aio_wait_until_ended(low)
