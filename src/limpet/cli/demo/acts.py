"""The acts of the demo. Each runs something for real, keeps what it saw, and holds it against a promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from limpet import Limpet, TriggerWorkflowOptions
from limpet.cli.demo.stage import Stage
from limpet.cli.demo.workflows import Demo, Job, Place
from limpet.labels import DesiredWorkerLabel

STICKY_RUNS = 6
LONG_TASKS = 30
LONG_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One task that ran: what it wanted, where it ran, and why there."""

    task: str
    priority: int
    wanted: str
    ran_on: str
    why: str


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise of the engine, and whether what ran kept it."""

    text: str
    kept: bool
    seen: str


@dataclass(slots=True)
class Report:
    """All that the demo saw."""

    sightings: list[Sighting] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)

    def check(self, text: str, kept: bool, seen: str) -> None:
        """Hold what was seen against a promise."""
        self.promises.append(Promise(text, kept, seen))

    @property
    def kept(self) -> bool:
        return all(promise.kept for promise in self.promises)


class Acts:
    """Everything that is played, in order."""

    report: Report

    def __init__(self, stage: Stage, say: Callable[[str], None]) -> None:
        self.report = Report()
        self._stage, self._say = stage, say
        self._limpet: Limpet = stage.client()
        self._demo = Demo(self._limpet)
        self._names: dict[str, str] = {}

    async def play(self) -> AsyncIterator[str]:
        """Play act by act; yields the title of each before it begins."""
        yield "Four workers connect: north (gpu), south, east, and single with one slot"
        self._names = await self._stage.workers_by_id(self._limpet)
        for strategy in ("soft", "hard"):
            yield f"Sticky assignment, {strategy.upper()}: {STICKY_RUNS} runs of a graph with a sticky child"
            await self._sticky(strategy)
        yield "Priority: 8 low ones wait for the only slot, then 4 high ones come"
        await self._priority()
        yield "Labels: the task's own, and those of a single run"
        await self._labels()
        yield "A question: why is my task waiting?"
        await self._explain()
        yield f"A crash: {LONG_TASKS} tasks are running, the engine is killed with SIGKILL and started again"
        await self._crash()

    def _name(self, worker_id: str) -> str:
        return self._names.get(worker_id, worker_id)

    async def _sticky(self, strategy: str) -> None:
        workflow = (self._demo.soft if strategy == "soft" else self._demo.hard)[0]
        results: list[dict[str, Any]] = await asyncio.gather(*(workflow.aio_run() for _ in range(STICKY_RUNS)))
        together, followed = 0, 0
        for number, result in enumerate(results, 1):
            places = [self._name(result[step]["worker"]) for step in ("step1a", "step1b", "step2")]
            child = self._name(result["step2"]["child"])
            together += len(set(places)) == 1
            followed += child == places[2]
            if number == 1:
                self._see_sticky(strategy, places, child)
        used = sorted({self._name(result["step1a"]["worker"]) for result in results})
        self.report.check(
            f"All tasks of a sticky run ({strategy.upper()}) run on one worker",
            together == STICKY_RUNS,
            f"{together} of {STICKY_RUNS} runs, spread over {', '.join(used)}",
        )
        self.report.check(
            f"A sticky child ({strategy.upper()}) runs where its parent runs",
            followed == STICKY_RUNS,
            f"{followed} of {STICKY_RUNS} children",
        )

    def _see_sticky(self, strategy: str, places: list[str], child: str) -> None:
        wanted = f"sticky {strategy.upper()}"
        reasons = ("first of its run: the least loaded", f"the run is pinned to {places[0]}", f"the run is pinned to {places[0]}")
        for step, place, why in zip(("step1a", "step1b", "step2"), places, reasons, strict=True):
            self.report.sightings.append(Sighting(step, 1, wanted, place, why))
        self.report.sightings.append(Sighting("child", 1, f"{wanted}, with its parent", child, f"its parent runs on {places[2]}"))

    async def _priority(self) -> None:
        first = await self._demo.low.aio_run(Job(number=0, seconds=1.0), wait_for_result=False)
        lows = [await self._demo.low.aio_run(Job(number=n, seconds=0.02), wait_for_result=False) for n in range(1, 9)]
        highs = [await self._demo.high.aio_run(Job(number=n, seconds=0.02), wait_for_result=False) for n in range(1, 5)]
        places: list[Place] = await asyncio.gather(*(reference.aio_result() for reference in [first, *lows, *highs]))
        kinds = ["low"] * 9 + ["high"] * 4
        order = sorted(range(13), key=lambda index: places[index].began_at)
        expected = [0, *range(9, 13), *range(1, 9)]
        for index in order[:7]:
            why = "had the slot already" if index == 0 else f"number {order.index(index)} in line for the only slot"
            name, priority = f"{kinds[index]} {places[index].number}", 3 if kinds[index] == "high" else 1
            self.report.sightings.append(Sighting(name, priority, "the only slot", self._name(places[index].worker), why))
        self.report.check(
            "Higher priority first, over all workflows; equal priority in order of arrival",
            order == expected,
            " ".join(f"{kinds[index][0].upper()}{places[index].number}" for index in order),
        )

    async def _labels(self) -> None:
        trained = await asyncio.gather(*(self._demo.train.aio_run(Job(number=n)) for n in range(6)))
        where = {self._name(place.worker) for place in trained}
        self.report.sightings.append(
            Sighting("train", 1, "gpu = yes, required", self._name(trained[0].worker), "the only one with gpu = yes")
        )
        self.report.check(
            "A required label of the task is always met", where == {"north"}, f"6 of 6 on {', '.join(sorted(where))}"
        )
        right = 0
        for zone in ("south", "east", "north"):
            wanted = TriggerWorkflowOptions(desired_worker_label={"zone": DesiredWorkerLabel(value=zone, required=True)})
            place = await self._demo.report.aio_run(Job(), options=wanted)
            right += self._name(place.worker) == zone
            self.report.sightings.append(
                Sighting("report", 1, f"zone = {zone}, this run only", self._name(place.worker), f"it has zone = {zone}")
            )
        self.report.check("A label given with the trigger routes that run", right == 3, f"{right} of 3 zones")

    async def _explain(self) -> None:
        nowhere = TriggerWorkflowOptions(desired_worker_label={"zone": DesiredWorkerLabel(value="atlantis", required=True)})
        reference = await self._demo.report.aio_run(Job(), options=nowhere, wait_for_result=False)
        answer = await asyncio.to_thread(self._stage.explain, reference.workflow_run_id)
        await self._limpet.runs.aio_cancel(reference.workflow_run_id)
        self.report.sightings.append(Sighting("report", 1, "zone = atlantis", "nobody", answer["text"]))
        self.report.check(
            "The engine says why a task waits, and when nothing will help",
            answer["outlook"] == "never" and "atlantis" in answer["text"],
            f"{answer['outlook']}: {answer['text']}",
        )

    async def _crash(self) -> None:
        items = [self._demo.long.create_bulk_run_item(Job(number=n, seconds=LONG_SECONDS)) for n in range(LONG_TASKS)]
        references = await self._demo.long.aio_run_many(items, wait_for_result=False)
        waits = [asyncio.create_task(reference.aio_result()) for reference in references]
        await asyncio.sleep(LONG_SECONDS / 4)
        await asyncio.to_thread(self._stage.kill_engine)
        self._say("the engine is dead; the workers go on")
        await asyncio.to_thread(self._stage.start_engine)
        self._say("the engine is back on its file")
        places: list[Place] = await asyncio.gather(*waits)
        numbers = sorted(place.number for place in places)
        attempts = max(place.attempt for place in places)
        self.report.sightings.append(
            Sighting("long", 1, "any worker", self._name(places[0].worker), "it went on while the engine was gone")
        )
        self.report.check(
            "Nothing acknowledged is lost when the engine is killed",
            numbers == list(range(LONG_TASKS)),
            f"{len(numbers)} of {LONG_TASKS} results",
        )
        self.report.check("No task that had started runs a second time", attempts == 1, f"{attempts} attempt at most")
