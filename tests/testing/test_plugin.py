"""The fixtures as pytest gives them, with our client, with the official one, and in suites of their own."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable

import hatchet_sdk
import pytest

from limpet import Context, EmptyModel, Limpet, StickyStrategy
from limpet.testing import EmbeddedEngine, FakeWorker
from tests.testing.wire import Wire, task

pytest_plugins = ("pytester",)


def test_the_plugin_is_known_to_pytest(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.get_plugin("limpet") is not None


def test_the_plugin_imports_no_engine_and_no_client() -> None:
    code = "import pytest, sys; before = set(sys.modules); import limpet.testing.plugin; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"limpet"}
    assert {name for name in loaded if name.startswith("limpet")} == {
        "limpet", "limpet._version", "limpet.testing", "limpet.testing.plugin",
    }  # fmt: skip


async def test_a_real_worker_of_our_client(limpet_engine: EmbeddedEngine, limpet_client: Limpet) -> None:
    session = limpet_client.workflow(name="session", sticky=StickyStrategy.HARD)

    @session.task()
    async def load(input: EmptyModel, ctx: Context) -> dict:
        return {"size": 3}

    @session.task(parents=[load])
    async def ask(input: EmptyModel, ctx: Context) -> dict:
        return {"size": ctx.task_output(load)["size"] + 1}

    async with limpet_client.worker("real", workflows=[session]) as worker:
        reference = await session.aio_run(EmptyModel(), wait_for_result=False)
        assert (await reference.aio_result())["ask"] == {"size": 4}
        ended = await limpet_engine.aio_assert_ran_on(reference, worker)
        assert ended.outputs == {"load": {"size": 3}, "ask": {"size": 4}}


def test_a_declared_workflow_is_registered_by_a_fake_worker(
    limpet_engine: EmbeddedEngine, limpet_client: Limpet, fake_worker: Callable[..., FakeWorker]
) -> None:
    order = limpet_client.workflow(name="order")

    @order.task()
    def pack(input: EmptyModel, ctx: Context) -> dict:
        return {}

    @order.on_failure_task()
    def apologise(input: EmptyModel, ctx: Context) -> dict:
        return {}

    worker = fake_worker("w1", [order])
    reference = order.run(EmptyModel(), wait_for_result=False)
    worker.fail(worker.next_start(), "the box is too small")
    assert worker.work().task == "apologise-on-failure"
    assert limpet_engine.wait_until_ended(reference).tasks["pack"].error == "the box is too small"


def test_the_official_client_finds_the_engine_by_its_environment(
    limpet_engine: EmbeddedEngine, hatchet_environment: dict[str, str], fake_worker: Callable[..., FakeWorker]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        hatchet = hatchet_sdk.Hatchet()

        @hatchet.task(name="greet")
        def greet(input: hatchet_sdk.EmptyModel, ctx: hatchet_sdk.Context) -> dict:
            return {}

        worker = fake_worker("w1", [greet])
        reference = greet.run(wait_for_result=False)
        worker.work({"said": "hello"})
        limpet_engine.assert_ran_on(reference, worker)
        assert reference.result() == {"said": "hello"}


def test_our_client_finds_it_too(limpet_engine: EmbeddedEngine, limpet_environment: dict[str, str]) -> None:
    config = Limpet().config
    assert (config.host_port, config.server_url) == (limpet_engine.grpc_address, limpet_engine.http_url)
    assert config.token == limpet_environment["LIMPET_TOKEN"]


def test_two_engines_side_by_side(limpet_engine: EmbeddedEngine, wire: Wire) -> None:
    with EmbeddedEngine() as other:
        far = Wire(other)
        for engine, line in ((limpet_engine, wire), (other, far)):
            line.put("plain", task("a"))
            worker = FakeWorker(engine, "w1", ["w:a"])
            run = line.trigger("plain")
            worker.work({"at": engine.grpc_address})
            assert engine.wait_until_ended(run).outputs == {"a": {"at": engine.grpc_address}}
        with pytest.raises(AssertionError, match="there is no run"):
            limpet_engine.run(run)
        far.close()


def test_an_engine_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())  # threads of earlier tests may end meanwhile
    engine = EmbeddedEngine()
    engine.start()
    FakeWorker(engine, "w1", ["w:a"])
    engine.stop()
    engine.stop()
    assert set(threading.enumerate()) - before == set()


def test_http_costs_nothing_until_it_is_called(limpet_engine: EmbeddedEngine, rest: Callable[[str], object]) -> None:
    assert not limpet_engine.http_is_used
    assert rest(f"tenants/{limpet_engine.tenant_id}/worker")
    assert limpet_engine.http_is_used


SUITE = """
    import pytest
    from limpet.testing import FakeWorker, Settings

    @pytest.fixture
    def limpet_settings():
        return Settings(bulk_items_max=7)

    def test_settings_are_overridden(limpet_engine):
        assert limpet_engine.settings.bulk_items_max == 7

    @pytest.mark.parametrize("number", range(4))
    def test_side_by_side(limpet_engine, fake_worker, number):
        assert [w.name for w in (limpet_engine.workers() or [fake_worker(f"w{number}", ["w:a"])])] == [f"w{number}"]

    def test_that_fails(limpet_engine, limpet_client, fake_worker):
        @limpet_client.task(name="lonely")
        def lonely(input, ctx):
            return {}

        worker = fake_worker("w1", [lonely], slots={"other": 1})
        run = lonely.run(wait_for_result=False)
        limpet_engine.wait_until_ended(run, within_s=0.2)
"""


def test_a_suite_of_users_runs_in_parallel_and_is_told_why(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*waited 0.2 s for run*", "*lonely: QUEUED*never, capacity_too_small*"])
