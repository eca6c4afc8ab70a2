"""A thousand connected workers with labels against ten: raw streams of the wire contract, all in this process.

    python -m bench.workers [--tasks 4000] [--runs 3]

Each worker registers with labels, keeps its stream open, beats every 4 s, and completes what it is sent at once. Tasks
demand one of ten zones and prefer one of eight disks; all workers together have 2,000 slots. Rates are limited by this
process, which plays all workers; the engine's CPU time a task is what tells the two apart.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

import grpc.aio

from bench.processes import Engine, temporary_folder
from bench.results import Report
from limpet.contracts import dispatcher_pb2, trigger_pb2, workflows_pb2
from limpet.contracts.admin_pb2 import CreateTaskOpts, CreateWorkflowVersionRequest
from limpet.contracts.stubs import AdminServiceStub, DispatcherStub, WorkflowServiceStub

SLOTS = 2_000
ZONES, DISKS = 10, 8
CHANNELS = 20  # connections; a real fleet has one for each worker, which only the kernel would notice
CONNECTING_MAX = 50  # at a time
TRIGGERS_OPEN = 8
ITEMS = 100
BEAT_S = 4.0
INPUT = b'{"name":"abcdefghijklmnopqrstuvwxyz0123456789","more":"................................"}'


class Fleet:
    """All workers of one size of fleet."""

    def __init__(self, engine: Engine) -> None:
        self.metadata = (("authorization", f"bearer {engine.token}"),)
        self.channels = [
            grpc.aio.insecure_channel(engine.grpc, (("grpc.use_local_subchannel_pool", 1),)) for _ in range(CHANNELS)
        ]
        self._stubs = [DispatcherStub(channel) for channel in self.channels]
        self._duties: list[asyncio.Task[None]] = []
        self._reports: set[asyncio.Task[Any]] = set()
        self._ended = asyncio.Event()
        self.starts: dict[str, int] = {}
        self._left = 0

    async def connect(self, count: int) -> None:
        """Register and listen, all of them."""
        room = asyncio.Semaphore(CONNECTING_MAX)

        async def one(number: int) -> None:
            async with room:
                await self._connect(number, SLOTS // count)

        await asyncio.gather(*(one(number) for number in range(count)))

    async def _connect(self, number: int, slots: int) -> None:
        stub = self._stubs[number % CHANNELS]
        labels = {
            "zone": dispatcher_pb2.WorkerLabels(str_value=f"z{number % ZONES}"),
            "disk": dispatcher_pb2.WorkerLabels(str_value=f"d{number // ZONES % DISKS}"),
        }
        request = dispatcher_pb2.WorkerRegisterRequest(
            worker_name=f"w{number}", actions=["fleet:task"], slot_config={"default": slots}, labels=labels
        )
        worker_id = (await stub.Register(request, metadata=self.metadata)).worker_id
        stream = stub.ListenV2(dispatcher_pb2.WorkerListenRequest(worker_id=worker_id), metadata=self.metadata)
        await stream.wait_for_connection()
        self._duties += [
            asyncio.create_task(self._work(stub, worker_id, stream)),
            asyncio.create_task(self._beat(stub, worker_id)),
        ]

    async def _work(self, stub: Any, worker_id: str, stream: Any) -> None:
        async for action in stream:
            event = dispatcher_pb2.StepActionEvent(
                worker_id=worker_id, task_run_external_id=action.task_run_external_id, action_id=action.action_id,
                event_type=dispatcher_pb2.STEP_EVENT_TYPE_COMPLETED, event_payload=b"{}", retry_count=action.retry_count,
            )  # fmt: skip
            report = asyncio.create_task(self._complete(stub, event))
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)
            self.starts[worker_id] = self.starts.get(worker_id, 0) + 1

    async def _complete(self, stub: Any, event: dispatcher_pb2.StepActionEvent) -> None:
        await stub.SendStepActionEvent(event, metadata=self.metadata)
        self._left -= 1
        if self._left == 0:
            self._ended.set()

    async def _beat(self, stub: Any, worker_id: str) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await stub.Heartbeat(dispatcher_pb2.HeartbeatRequest(worker_id=worker_id), metadata=self.metadata)

    async def load(self, tasks: int) -> float:
        """Trigger so many, return the seconds until all are completed."""
        self._left = tasks
        self._ended.clear()
        stub, room = WorkflowServiceStub(self.channels[0]), asyncio.Semaphore(TRIGGERS_OPEN)

        async def trigger(first: int) -> None:
            async with room:
                items = [_trigger(number) for number in range(first, first + ITEMS)]
                await stub.BulkTriggerWorkflow(workflows_pb2.BulkTriggerWorkflowRequest(workflows=items), metadata=self.metadata)

        began = time.perf_counter()
        await asyncio.gather(*(trigger(first) for first in range(0, tasks, ITEMS)))
        await self._ended.wait()
        return time.perf_counter() - began

    async def close(self) -> None:
        """Drop all connections."""
        for duty in self._duties:
            duty.cancel()
        await asyncio.gather(*self._duties, return_exceptions=True)
        for channel in self.channels:
            await channel.close()


def _trigger(number: int) -> trigger_pb2.TriggerWorkflowRequest:
    zone = trigger_pb2.DesiredWorkerLabels(str_value=f"z{number % ZONES}", required=True)
    disk = trigger_pb2.DesiredWorkerLabels(str_value=f"d{number // ZONES % DISKS}", weight=50)
    return trigger_pb2.TriggerWorkflowRequest(name="fleet", input=INPUT, desired_worker_labels={"zone": zone, "disk": disk})


async def measure(report: Report, workers: int, tasks: int, runs: int) -> None:
    """Figures of one fleet on an engine of its own."""
    with temporary_folder() as folder:
        engine = Engine(folder)
        try:
            fleet = Fleet(engine)
            task = CreateTaskOpts(readable_id="task", action="fleet:task")
            definition = CreateWorkflowVersionRequest(name="fleet", tasks=[task])
            await AdminServiceStub(fleet.channels[0]).PutWorkflow(definition, metadata=fleet.metadata)
            began = time.perf_counter()
            await fleet.connect(workers)
            report.figure(f"{workers}_workers.connected_per_s", [workers / (time.perf_counter() - began)], "/s")
            report.figure(f"{workers}_workers.engine_rss_mb", [engine.rss_mb()], "MB")
            await fleet.load(tasks)  # not counted
            seconds, costs = [], []
            for _ in range(runs):
                before = engine.cpu_s()
                seconds.append(await fleet.load(tasks))
                costs.append((engine.cpu_s() - before) * 1e3 / tasks)
            report.figure(f"{workers}_workers.that_got_work", [len(fleet.starts)], "")
            report.figure(f"{workers}_workers.tasks_per_s", [tasks / one for one in seconds], "/s")
            report.figure(f"{workers}_workers.engine_cpu_ms_per_task", costs, "ms")
            await fleet.close()
        finally:
            engine.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=4_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    report = Report("workers")
    for workers in (ZONES, 1_000):
        asyncio.run(measure(report, workers, options.tasks, options.runs))
    report.save()


if __name__ == "__main__":
    main()
