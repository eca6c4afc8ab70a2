"""References to started runs: wait for them, or read their chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from limpet.sdk.engine_calls import EngineCalls, RunStatus
from limpet.sdk.exceptions import run_failure
from limpet.sdk.run_events import RunEventListener
from limpet.sdk.run_results import RunResult

TWorkflowInput = TypeVar("TWorkflowInput")
R = TypeVar("R")


class WorkflowRunRef:
    """A started run. `result()` and `aio_result()` give its outputs by task name."""

    def __init__(self, workflow_run_id: str, calls: EngineCalls) -> None:
        self.workflow_run_id = workflow_run_id
        self._calls = calls

    def __str__(self) -> str:
        return self.workflow_run_id

    def __repr__(self) -> str:
        return f"WorkflowRunRef({self.workflow_run_id!r})"

    def result(self, poll_interval: float | None = None) -> dict[str, Any]:
        """Block until the run has ended; its outputs by task name.

        poll_interval: kept for older code; the end of a run is pushed, nothing is polled
        errors:        FailedTaskRunExceptionGroup for a failed run, ValueError for a cancelled one
        """
        result = self._calls.results.wait(self.workflow_run_id)
        if result.may_be_cancelled and self._calls.run_details(self.workflow_run_id).status is RunStatus.CANCELLED:
            raise ValueError(f"Workflow run {self.workflow_run_id} was cancelled.")
        return _outputs(result)

    async def aio_result(self) -> dict[str, Any]:
        """Await the end of the run; its outputs by task name, those that exist for a cancelled one.

        errors: FailedTaskRunExceptionGroup for a failed run
        """
        return _outputs(await self._calls.results.aio_wait(self.workflow_run_id))

    def stream(self) -> RunEventListener:
        """The events of the run, as they happen."""
        return RunEventListener(self._calls.transport, workflow_run_id=self.workflow_run_id)


class TaskRunRef(Generic[TWorkflowInput, R]):
    """A started run of a standalone task. `result()` and `aio_result()` give the task's validated output."""

    def __init__(self, workflow_run_ref: WorkflowRunRef, read_output: Callable[[dict[str, Any]], R]) -> None:
        self._ref = workflow_run_ref
        self._read_output = read_output

    def __repr__(self) -> str:
        return f"TaskRunRef({self.workflow_run_id!r})"

    @property
    def workflow_run_id(self) -> str:
        """The id of the run."""
        return self._ref.workflow_run_id

    def result(self, poll_interval: float | None = None) -> R:
        """Block until the run has ended; the task's output. Errors as of `WorkflowRunRef.result`."""
        return self._read_output(self._ref.result(poll_interval))

    async def aio_result(self) -> R:
        """Await the end of the run; the task's output. Errors as of `WorkflowRunRef.aio_result`."""
        return self._read_output(await self._ref.aio_result())

    def stream(self) -> RunEventListener:
        """The events of the run, as they happen."""
        return self._ref.stream()


def _outputs(result: RunResult) -> dict[str, Any]:
    if result.errors:
        raise run_failure(result.workflow_run_id, list(result.errors))
    return result.outputs
