"""The unmodified official TypeScript client: everyday use, sticky runs, labels, priority, cancellation, crashes.

What starts runs and what holds them back: test_typescript_triggers.py, test_typescript_flow.py.

Its workers send their NAME where the contract has the worker's id; every outcome of this file arrives that way (R24, WK-29).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.processes import EngineProcess, running, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.typescript.processes import RunFailed, TypeScriptClient, TypeScriptWorker

pytestmark = [pytest.mark.compat, pytest.mark.timeout(180), pytest.mark.usefixtures("typescript")]

PROGRAMS = ["workflows", "observed"]
SERIAL = ["ordinary", "urgent", "sleeper"]  # what the worker with one slot runs
PARALLEL = ["double", "parent", "fails_once", "fails_for_good", "zoned", "roomy", "anywhere", "relabel", "graph", "broken"]
PARALLEL += ["talkative", *(f"sticky-{strategy}{child}" for strategy in ("soft", "hard") for child in ("", "-child"))]


def lines_of(engine: EngineProcess, kind: str) -> list[dict[str, Any]]:
    return [line for line in journal.read(engine.client_environment()["JOURNAL"]) if line["kind"] == kind]


@pytest.fixture(scope="module")
def pair(engine: EngineProcess, typescript: None) -> Iterator[list[TypeScriptWorker]]:
    """Two workers that differ in their labels alone."""
    first = {"slots": 100, "programs": PROGRAMS, "only": PARALLEL, "labels": {"zone": "a", "memory": 512}}
    second = {"slots": 100, "programs": PROGRAMS, "only": PARALLEL, "labels": {"zone": "b", "memory": 256}}
    workers = [TypeScriptWorker(engine, "ts-first", first), TypeScriptWorker(engine, "ts-second", second)]
    with running(*workers):
        yield workers


@pytest.fixture(scope="module")
def single(engine: EngineProcess, typescript: None) -> Iterator[TypeScriptWorker]:
    """A worker with one slot."""
    worker = TypeScriptWorker(engine, "ts-single", {"slots": 1, "only": SERIAL})
    with running(worker):
        yield worker


def is_idle(worker: TypeScriptWorker) -> bool:
    row = worker.row()
    return row is not None and row["slotConfig"]["default"]["available"] == row["slotConfig"]["default"]["limit"]


def begin(client: TypeScriptClient, engine: EngineProcess, number: int, seconds: float) -> str:
    """Start a sleeper; return its run id once it runs."""
    run = client.do("start", workflow="sleeper", input={"number": number, "seconds": seconds})
    wait_for("the task runs", lambda: [line for line in lines_of(engine, "sleeper") if line["number"] == number])
    return str(run)


def test_the_client_meets_a_tenant_of_version_one(client: TypeScriptClient) -> None:
    assert client.call("tenant.get")["version"] == "V1"
    assert "warn" not in client.log().lower()


def test_the_engine_knows_the_worker_by_an_id_of_its_own(engine: EngineProcess, pair: list[TypeScriptWorker]) -> None:
    row = pair[0].row()
    assert row is not None
    assert row["metadata"]["id"] != row["name"] == "ts-first"
    assert row["runtimeInfo"]["language"] == "TYPESCRIPT"
    assert {label["key"]: label["value"] for label in row["labels"]} == {"zone": "a", "memory": "512"}


@pytest.mark.usefixtures("pair")
class TestEverydayUse:
    def test_a_run_returns_its_result(self, client: TypeScriptClient) -> None:
        assert client.do("run", workflow="double", input={"number": 21}) == {"value": 42}

    def test_a_result_is_there_for_a_late_waiter(self, client: TypeScriptClient) -> None:
        run = client.do("start", workflow="double", input={"number": 4})
        wait_for("the run is finished", lambda: client.call("runs.get_status", run) == "COMPLETED")
        assert client.do("result", run=run) == {"value": 8}

    def test_A53_a_bulk_comes_back_in_order(self, client: TypeScriptClient) -> None:
        results = client.do("run", workflow="double", input=[{"number": n} for n in range(100)])
        assert [result["value"] for result in results] == [2 * n for n in range(100)]

    def test_a_bulk_beyond_the_clients_own_split_has_distinct_runs(self, client: TypeScriptClient) -> None:
        runs = client.do("start", workflow="double", input=[{"number": n} for n in range(600)])
        assert len(set(runs)) == 600
        assert client.do("result", run=runs[-1]) == {"value": 1_198}

    def test_children_run_and_return(self, client: TypeScriptClient) -> None:
        assert client.do("run", workflow="parent", input={"number": 10}) == {"sum": 90}

    def test_a_failed_attempt_is_retried(self, client: TypeScriptClient) -> None:
        assert client.do("run", workflow="fails_once", input={}) == {"retry": 1}

    def test_A44_a_non_retryable_failure_ends_at_once_and_its_text_arrives(
        self, engine: EngineProcess, client: TypeScriptClient
    ) -> None:
        with pytest.raises(RunFailed, match="no use in trying again"):
            client.do("run", workflow="fails_for_good", input={})
        assert [line["retry"] for line in lines_of(engine, "fails_for_good")] == [0]

    def test_A01_a_graph_joins_its_branches_after_a_retry(self, client: TypeScriptClient) -> None:
        result = client.do("run", workflow="graph", input={"number": 1})
        assert result == {"left": {"value": 2}, "right": {"value": 3}, "join": {"value": 5}}

    def test_A39_the_on_failure_task_runs_and_knows_the_errors(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        with pytest.raises(RunFailed, match="broken on purpose"):
            client.do("run", workflow="broken", input={})
        (line,) = wait_for("the on-failure task ran", lambda: lines_of(engine, "mend"))
        assert "broken on purpose" in line["errors"]["breaks"]

    def test_a_failed_run_is_replayed(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        before = len(lines_of(engine, "fails_for_good"))
        run = client.do("start", workflow="fails_for_good", input={})
        wait_for("the run has failed", lambda: client.call("runs.get_status", run) == "FAILED")
        assert client.call("runs.replay", {"ids": [run]}) == {"ids": [run]}
        lines = wait_for("it ran again", lambda: lines_of(engine, "fails_for_good")[before + 1 :])
        assert [line["retry"] for line in lines] == [1]

    def test_A95_A96_chunks_and_log_lines_arrive_in_order(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        file = str(engine.folder / "listening")
        run = client.do("start", workflow="talkative", input={"until": file})
        chunks = client.do("chunks", run=run, file=file)
        assert [chunk for chunk in chunks if chunk != "?"] == [f"chunk {number}" for number in range(20)]
        task = client.do("result", run=run)["task"]
        lines = wait_for("both lines", lambda: rows if len(rows := client.call("logs.list", task)["rows"]) == 2 else None)
        assert {(line["level"], line["message"]) for line in lines} == {("INFO", "hello"), ("WARN", "beware")}

    def test_counts_lists_and_pausing_a_worker(self, client: TypeScriptClient, pair: list[TypeScriptWorker]) -> None:
        client.do("run", workflow="double", input={"number": 1})
        assert client.declared("double", "taskStatusMetrics")["completed"] >= 1
        assert client.call("workflows.get", "double")["name"] == "double"
        assert {worker.name for worker in pair} <= {row["name"] for row in client.call("workers.list")["rows"]}
        worker = pair[0].id
        for method, paused in (("workers.pause", True), ("workers.unpause", False)):
            client.call(method, worker)
            assert client.call("workers.isPaused", worker) is paused


class TestPlaces:
    @pytest.mark.parametrize("strategy", ["soft", "hard"])
    def test_AC01_AC02_AC17_all_tasks_of_a_sticky_run_and_its_child_share_a_worker(
        self, client: TypeScriptClient, pair: list[TypeScriptWorker], strategy: str
    ) -> None:
        both = {worker.id for worker in pair}  # waits until both are active
        wait_for("both are idle", lambda: all(is_idle(worker) for worker in pair))  # the one with more room is chosen first
        results = client.do("run", workflow=f"sticky-{strategy}", input=[{}] * 20)
        for result in results:
            places = {result[step]["worker"] for step in ("step1a", "step1b", "step2")} | {result["step2"]["child"]}
            assert len(places) == 1
        assert {result["step1a"]["worker"] for result in results} == both

    def test_labels_at_definition_time_route_the_task(self, client: TypeScriptClient, pair: list[TypeScriptWorker]) -> None:
        for workflow in ("zoned", "roomy"):
            results = client.do("run", workflow=workflow, input=[{}] * 10)
            assert {result["worker"] for result in results} == {pair[0].id}

    def test_AC37_a_label_at_run_time_routes_the_run(self, client: TypeScriptClient, pair: list[TypeScriptWorker]) -> None:
        for zone, worker in zip("ab", pair, strict=True):
            options = {"desiredWorkerLabels": {"zone": {"value": zone, "required": True}}}
            results = client.do("run", workflow="anywhere", input=[{}] * 10, options=options)
            assert {result["worker"] for result in results} == {worker.id}

    def test_AC46_a_label_set_inside_a_task_attracts_a_waiting_task(
        self, engine: EngineProcess, client: TypeScriptClient, pair: list[TypeScriptWorker]
    ) -> None:
        options = {"desiredWorkerLabels": {"model": {"value": "v2", "required": True}}}
        waiting = client.do("start", workflow="anywhere", input={}, options=options)
        assert client.call("runs.get_status", waiting) == "QUEUED"
        changed = client.do("run", workflow="relabel", input={})
        assert client.do("result", run=waiting) == changed
        row = next(row for row in engine.workers() if row["metadata"]["id"] == changed["worker"])
        assert {label["key"] for label in row["labels"]} == {"zone", "memory", "model"}


class TestOneSlot:
    def test_AC25_AC27_priority_is_strict_over_queues(
        self, engine: EngineProcess, client: TypeScriptClient, single: TypeScriptWorker
    ) -> None:
        """A first task holds the slot; then levels of two queues start in strict order, first in first out inside."""
        begin(client, engine, number=100, seconds=1.0)
        levels = [1, 3, None, 2, 3, 1, 2, None, 1, 3, 2, None, 3, 1, 2, 2, 1, 3, None, 1]
        runs = []
        for number, level in enumerate(levels):
            workflow, options = ("urgent", {}) if level is None else ("ordinary", {"priority": level})
            runs.append(client.do("start", workflow=workflow, input={"number": number}, options=options))
        assert [client.do("result", run=run)["priority"] for run in runs] == [level or 3 for level in levels]
        expected = sorted(range(len(levels)), key=lambda number: (-(levels[number] or 3), number))
        assert [line["number"] for line in lines_of(engine, "priority")] == expected
        (held,) = [line for line in lines_of(engine, "sleeper done") if line["number"] == 100]
        assert all(line["at"] >= held["at"] for line in lines_of(engine, "priority")), "one slot ran two tasks at once"

    def test_AC74_a_running_task_is_cancelled_sees_it_and_leaves_its_slot(
        self, engine: EngineProcess, client: TypeScriptClient, single: TypeScriptWorker
    ) -> None:
        run = begin(client, engine, number=200, seconds=100)
        assert client.call("runs.cancel", {"ids": [run]}) == {"ids": [run]}
        assert client.call("runs.get_status", run) == "CANCELLED"
        assert client.do("result", run=run) == {}, "the client reads a cancelled run as one without output"
        (line,) = wait_for("the task has seen it", lambda: lines_of(engine, "sleeper cancelled"))
        assert (line["number"], line["cancelled"]) == (200, True)
        assert client.do("run", workflow="ordinary", input={"number": 201}) == {"priority": 1}

    def test_a_queued_task_is_cancelled_and_never_runs(
        self, engine: EngineProcess, client: TypeScriptClient, single: TypeScriptWorker
    ) -> None:
        begin(client, engine, number=300, seconds=0.5)
        queued = client.do("start", workflow="sleeper", input={"number": 301, "seconds": 0})
        client.call("runs.cancel", {"ids": [queued]})
        assert client.call("runs.get_status", queued) == "CANCELLED"
        client.do("run", workflow="ordinary", input={"number": 302})  # behind both, in the one slot
        assert not [line for line in lines_of(engine, "sleeper") if line["number"] == 301]


def test_a_stopped_worker_ends_by_itself_and_its_run_still_returns(
    engine: EngineProcess, client: TypeScriptClient, single: TypeScriptWorker
) -> None:
    """The client unsubscribes before its running tasks have ended, and lets them end."""
    single.stop()
    leaving = TypeScriptWorker(engine, "ts-leaving", {"slots": 5, "only": ["sleeper"]})
    staying = TypeScriptWorker(engine, "ts-staying", {"slots": 5, "only": ["sleeper"]})
    with running(leaving):
        leaving_id = leaving.id
        run = begin(client, engine, number=400, seconds=1.5)
        with running(staying):
            leaving.stop()
            assert leaving.process is not None
            assert leaving.process.returncode == 0
            assert "ts-leaving" not in {row["name"] for row in engine.workers() if row["status"] == "ACTIVE"}
            assert client.do("result", run=run) == {"value": 800, "worker": leaving_id}
            later = client.do("run", workflow="sleeper", input=[{"number": n, "seconds": 0} for n in range(401, 411)])
            assert {result["worker"] for result in later} == {staying.id}


def test_AC13_T_KILL_WORKER_tasks_of_a_killed_worker_run_elsewhere(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, settings={"worker_lost_after": "8s", "worker_assignable": "6s"})
    client = TypeScriptClient(engine)
    doomed = TypeScriptWorker(engine, "ts-doomed", {"slots": 20, "only": ["sleeper"]})
    heir = TypeScriptWorker(engine, "ts-heir", {"slots": 20, "only": ["sleeper"]})
    with running(engine, client, doomed):
        runs = client.do("start", workflow="sleeper", input=[{"number": n, "seconds": 1.5} for n in range(10)])
        wait_for("all tasks have started", lambda: len(lines_of(engine, "sleeper")) == 10)
        doomed.kill()
        with running(heir):
            answers = [client.ask("result", run=run) for run in runs]
            assert {answer.result(60)["worker"] for answer in answers} == {heir.id}
        done = lines_of(engine, "sleeper done")
        assert sorted((line["number"], line["retry"]) for line in done) == [(n, 1) for n in range(10)]


def test_AC78_engine_killed_while_tasks_run_loses_and_doubles_nothing(own_engine: EngineProcess) -> None:
    client = TypeScriptClient(own_engine)
    worker = TypeScriptWorker(own_engine, "ts-survivor", {"slots": 50, "only": ["sleeper", "double"]})
    with running(client, worker):
        before = worker.id
        running_ones = client.do("start", workflow="sleeper", input=[{"number": n, "seconds": 2} for n in range(40)])
        waiting_ones = client.do("start", workflow="sleeper", input=[{"number": n, "seconds": 0} for n in range(40, 60)])
        wait_for("the slots are full", lambda: len(lines_of(own_engine, "sleeper")) >= 50)
        answers = [client.ask("result", run=run) for run in running_ones + waiting_ones]
        own_engine.kill()
        own_engine.start()
        wait(answers, 60)
        assert [answer.result(0)["value"] for answer in answers] == [2 * n for n in range(60)]
        starts = Counter(line["number"] for line in lines_of(own_engine, "sleeper"))
        assert starts == dict.fromkeys(range(60), 1), "a task whose start was confirmed ran twice"
        assert client.do("run", workflow="double", input={"number": 5}) == {"value": 10}
        assert worker.id == before
