"""The unmodified official TypeScript client: concurrency limits, rate limits, conditions, the debugger of expressions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from tests.compatibility.processes import EngineProcess, running, wait_for
from tests.compatibility.programs import journal
from tests.compatibility.test_concurrency import most_at_once
from tests.compatibility.typescript.processes import RunFailed, TypeScriptClient, TypeScriptWorker

pytestmark = [pytest.mark.compat, pytest.mark.timeout(180)]
SECOND, MINUTE = 0, 1  # as the client numbers durations
SKIPPED = {"skipped": True}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"concurrency": {"expression": "input..", "maxRuns": 1}}, r"expression 'input..' cannot be used: Syntax error"),
    ({"concurrency": {"expression": "", "maxRuns": 1}}, r"expression '' cannot be used: it is empty"),
    ({"concurrency": {"expression": "'k'", "limitStrategy": 1}}, r"strategy DROP_NEWEST is not supported; use one of"),
    ({"rateLimits": [{"dynamicKey": "input.", "limit": 1, "units": 1}]}, r"rate limit expression 'input.' cannot be used"),
    ({"rateLimits": [{"dynamicKey": "input.a", "units": 1}]}, "requires limit"),  # the client says so itself
]


@pytest.fixture(scope="module", autouse=True)
def worker(engine: EngineProcess, typescript: None) -> Iterator[TypeScriptWorker]:
    process = TypeScriptWorker(engine, "ts-held", {"slots": 200, "programs": ["limited", "metered", "conditional"]})
    with running(process):
        yield process


@pytest.fixture(scope="module", autouse=True)
def refusals(client: TypeScriptClient) -> list[Future[Any]]:
    """The answers to registrations that must be refused, which come while the other tests run."""
    return [
        client.ask("register", declaration={"name": f"refused-{number}", **declaration})
        for number, (declaration, _) in enumerate(REFUSED)
    ]


def lines_of(engine: EngineProcess, task: str, kind: str | None = None) -> list[dict[str, Any]]:
    lines = journal.read(engine.client_environment()["JOURNAL"])
    return [line for line in lines if line.get("task") == task and kind in (None, line["kind"])]


def begun(engine: EngineProcess, task: str, number: int) -> None:
    """Wait until the task of that number runs."""
    wait_for(f"{task} {number} runs", lambda: [line for line in lines_of(engine, task, "begun") if line["number"] == number])


def start(client: TypeScriptClient, workflow: str, *inputs: dict[str, Any]) -> list[str]:
    return list(client.do("start", workflow=workflow, input=list(inputs)))


class TestConcurrency:
    @pytest.mark.parametrize(("workflow", "task"), [("by_group", "by_group"), ("whole-by-group", "whole-by-group first")])
    def test_B16_B21_each_group_has_its_own_limit(
        self, engine: EngineProcess, client: TypeScriptClient, workflow: str, task: str
    ) -> None:
        go = engine.folder / f"{workflow}.go"
        runs = start(client, workflow, *({"number": n, "group": "ab"[n % 2], "until": str(go)} for n in range(4)))
        wait_for("one of each runs", lambda: {line["group"] for line in lines_of(engine, task, "begun")} == {"a", "b"})
        assert [client.call("runs.get_status", run) for run in runs[2:]] == ["QUEUED"] * 2
        go.touch()
        assert client.do("settled", runs=runs) == ["COMPLETED"] * 4
        assert most_at_once(lines_of(engine, task), lambda line: line["group"]) == {"a": 1, "b": 1}

    @pytest.mark.parametrize(
        ("workflow", "task"), [("newest_wins", "newest_wins"), ("whole-newest-wins", "whole-newest-wins first")]
    )
    def test_B10_B11_B12_B28_the_newest_stays(
        self, engine: EngineProcess, client: TypeScriptClient, workflow: str, task: str
    ) -> None:
        runs = []
        for number in range(4):
            runs += start(client, workflow, {"number": number, "seconds": 0 if number == 3 else 30})
            begun(engine, task, number)
        assert client.do("settled", runs=runs) == ["CANCELLED"] * 3 + ["COMPLETED"]
        assert [line["number"] for line in lines_of(engine, task, "ended")] == [3]

    @pytest.mark.parametrize(("workflow", "task"), [("first_wins", "first_wins"), ("whole-first-wins", "whole-first-wins first")])
    def test_B13_B14_B15_the_first_stays_and_after_it_another(
        self, engine: EngineProcess, client: TypeScriptClient, workflow: str, task: str
    ) -> None:
        go = engine.folder / f"{workflow}.go"
        first = start(client, workflow, {"number": 0, "until": str(go)})
        begun(engine, task, 0)
        others = start(client, workflow, *({"number": n} for n in range(1, 11)))
        assert client.do("settled", runs=others) == ["CANCELLED"] * 10
        go.touch()
        assert client.do("settled", runs=first) == ["COMPLETED"]
        assert client.do("settled", runs=start(client, workflow, {"number": 11})) == ["COMPLETED"]

    def test_B17_two_limits_hold(self, engine: EngineProcess, client: TypeScriptClient) -> None:
        inputs = [{"number": n, "digit": str(n % 2), "group": "abcdef"[n * n % 6], "seconds": 0.02} for n in range(100)]
        assert client.do("settled", runs=start(client, "two_limits", *inputs)) == ["COMPLETED"] * 100
        lines = lines_of(engine, "two_limits")
        assert max(most_at_once(lines, lambda line: line["digit"]).values()) <= 8
        assert max(most_at_once(lines, lambda line: line["group"]).values()) <= 3

    def test_B09_a_key_that_cannot_be_computed_fails_the_run_at_once(
        self, engine: EngineProcess, client: TypeScriptClient
    ) -> None:
        [run] = start(client, "no_such_key", {"number": 0})
        with pytest.raises(RunFailed, match=r"failed to parse step expression \(input.missing\)"):
            client.do("result", run=run)
        assert not lines_of(engine, "no_such_key")


class TestRateLimits:
    def test_B35_six_tasks_under_a_limit_of_two_a_second_take_two_seconds(
        self, engine: EngineProcess, client: TypeScriptClient
    ) -> None:
        client.call("ratelimits.upsert", {"key": "second", "limit": 2, "duration": SECOND})
        runs = start(client, "per_second", *({"number": n} for n in range(6)))
        assert client.do("settled", runs=runs) == ["COMPLETED"] * 6
        at = sorted(line["at"] for line in lines_of(engine, "per_second"))
        assert at[-1] - at[0] >= 1.9  # a body may begin a little later than its assignment
        assert all(later - earlier >= 0.9 for earlier, later in zip(at, at[2:], strict=False))

    def test_B37_B43_B45_what_waits_for_units_is_queued_and_says_so(self, client: TypeScriptClient) -> None:
        for key, limit in (("plenty", 10), ("single", 1)):
            client.call("ratelimits.upsert", {"key": key, "limit": limit, "duration": MINUTE})
        cases = (
            ("by_user", [{"number": 1, "user": "ada"}, {"number": 2, "user": "bob"}], {"number": 3, "user": "ada"}),
            ("by_units", [{"number": 4, "units": 3}], {"number": 5, "units": 3}),
            ("of_two", [{"number": 6}], {"number": 7}),
        )
        waiting = []
        for task, passing, held in cases:
            assert client.do("settled", runs=start(client, task, *passing)) == ["COMPLETED"] * len(passing)
            waiting += start(client, task, held)
        for run in waiting:
            wait_for("it says so", lambda run=run: "REQUEUED_RATE_LIMIT" in events_of(client, run))
            assert client.call("runs.get_status", run) == "QUEUED"
        left = {row["key"]: (row["value"], row["limitValue"]) for row in client.call("ratelimits.list", {})["rows"]}
        assert (left["units"], left["plenty"], left["single"]) == ((2, 5), (8, 10), (0, 1))
        client.call("runs.cancel", {"ids": waiting})

    def test_B38_B40_units_that_never_come_end_in_the_schedule_timeout(self, client: TypeScriptClient) -> None:
        client.call("ratelimits.upsert", {"key": "three", "limit": 3, "duration": SECOND})
        runs = [*start(client, "never", {"number": 8}), *start(client, "unknown", {"number": 9})]
        for run, words in zip(runs, ("has 3 units in all, 5 are needed", "nobody has set the rate limit 'unknown'"), strict=True):
            with pytest.raises(RunFailed, match=words):
                client.do("result", run=run)
            assert "SCHEDULING_TIMED_OUT" in events_of(client, run)

    def test_B44_a_key_that_is_no_text_fails_the_task(self, client: TypeScriptClient) -> None:
        [run] = start(client, "by_user", {"number": 10, "user": 7})
        with pytest.raises(RunFailed, match="failed to parse step expression"):
            client.do("result", run=run)

    def test_B41_B49_limits_are_changed_searched_and_ordered(self, client: TypeScriptClient) -> None:
        for key, limit in (("zz-a2", 5), ("zz-a1", 9), ("zz-b1", 7), ("zz-a1", 3)):
            client.call("ratelimits.upsert", {"key": key, "limit": limit, "duration": MINUTE})

        def found(**wanted: Any) -> list[tuple[str, int]]:
            rows = client.call("ratelimits.list", wanted)["rows"]
            return [(row["key"], row["value"]) for row in rows]

        assert found(search="zz-a", orderByField="key", orderByDirection="asc") == [("zz-a1", 3), ("zz-a2", 5)]
        assert found(search="zz-", orderByField="limitValue", orderByDirection="desc", limit=1) == [("zz-b1", 7)]


def events_of(client: TypeScriptClient, run: str) -> list[str]:
    return [event["eventType"] for event in client.call("runs.get", run)["taskEvents"]]


class TestConditions:
    def test_A19_A24_A25_A27_A28_A31_W5_17_sleeps_and_branches_that_are_skipped(self, client: TypeScriptClient) -> None:
        high, low = (client.ask("run", workflow="branches", input={"number": number}) for number in (60, 10))
        alone = client.ask("run", workflow="single", input={})
        slept = {"sleep-1s": {"sleep_duration": "1s"}}
        assert high.result(30)["join"] == {"outputs": [SKIPPED, {"number": 2}, SKIPPED]}
        assert low.result(30)["join"] == {"outputs": [{"number": 1}, SKIPPED, SKIPPED]}
        assert high.result()["slept"]["triggers"] == alone.result(30)["only"]["triggers"] == slept

    def test_A20_A21_A22_A29_A36_A37_events_satisfy_skip_and_choose(self, client: TypeScriptClient) -> None:
        client.call("events.push", "events:go", {"n": 0})
        run = client.do("start", workflow="events", input={"number": 1})
        waiting(client, run, "by_event", "by_its_number", "skipped_by_event", "by_output_or_event")
        client.call("events.bulkPush", "events:pick", [{"payload": one} for one in ({"number": 6}, {"other": 7}, {"number": 7})])
        client.call("events.push", "events:skip", {})
        client.call("events.push", "events:go", {"n": 1})
        result = client.do("result", run=run)
        assert result["by_event"] == {"triggers": {"events:go": {"n": 1}}}, "not the one from before the task waited"
        assert result["by_its_number"] == {"triggers": {"picked": {"number": 7}}}
        assert (result["skipped_by_event"], result["skipped_by_sleep"]) == (SKIPPED, SKIPPED)
        assert result["by_output_or_event"] == {"number": 5}

    @pytest.mark.parametrize("cause", ["output", "event"])
    def test_A32_A33_a_cancelled_task_cancels_what_is_below_and_its_run(self, client: TypeScriptClient, cause: str) -> None:
        run = client.do("start", workflow="cancelled", input={"number": 60 if cause == "output" else 1})
        if cause == "event":
            waiting(client, run, "fragile")
            client.call("events.push", "cancelled:abort", {})
        assert client.do("settled", runs=[run]) == ["CANCELLED"]
        assert statuses(client, run) == {"start": "COMPLETED", "fragile": "CANCELLED", "below": "CANCELLED"}


def test_B01_B02_B03_the_debugger_of_expressions(client: TypeScriptClient) -> None:
    def debug(expression: str) -> Any:
        return client.call("cel.debug", {"expression": expression, "input": {"n": 3}})

    assert debug("input.n > 2") == {"status": "SUCCESS", "output": True}
    assert debug("input.n > 4") == {"status": "SUCCESS", "output": False}
    assert (debug("input.m > 4")["status"], debug("'text'")["status"]) == ("ERROR", "ERROR")


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_B04_B05_B06_B46_what_is_refused_at_registration(refusals: list[Future[Any]], number: int) -> None:
    """Last, because the client tries a refused registration eight times, for 13 s, before it says so."""
    with pytest.raises(RunFailed, match=REFUSED[number][1]):
        refusals[number].result(60)


def statuses(client: TypeScriptClient, run: str) -> dict[str, str]:
    """By task, as run details tell them."""
    return {name: task["status"] for name, task in client.call("runs.getDetails", run)["taskRuns"].items()}


def waiting(client: TypeScriptClient, run: str, *tasks: str) -> None:
    """Until the start has ended and these tasks wait for their conditions."""

    def look() -> bool:
        found = statuses(client, run)
        return found.get("start") == "COMPLETED" and all(found.get(task) == "QUEUED" for task in tasks)

    wait_for(f"{tasks} wait", look)
