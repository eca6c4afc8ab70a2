"""Where a page of the guide is played: an engine in this process, the page's workers, its callers, its commands.

A page is a program, told in blocks that run in order:

    ```python worker    belongs to worker.py; every worker that these blocks make is started
    ```python run       a caller; what it prints is compared with the block `text output` that follows
    ```sh run           typed into a shell; `$RUN` is the id of the page's run `ref`
    ```text output      what the block before it printed; `…` stands for anything
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import subprocess
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from limpet import Worker
from limpet.testing import EmbeddedEngine
from tests.documentation.pages import Block

READY_WITHIN_S = 20.0
COMMAND_MAX_S = 30.0


class Stage:
    """One page at play."""

    def __init__(self, engine: EmbeddedEngine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._worker_module = ModuleType("worker")
        self._caller: dict[str, Any] = {"__name__": "__main__"}
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._printed: str | None = None

    def play(self, script: list[Block]) -> None:
        """Run the blocks in order. Raises what one of them raises, and AssertionError for other output than shown."""
        parts = {
            "python worker": self._declare, "python run": self._call, "sh run": self._type, "text output": self._compare,
        }  # fmt: skip
        sys.modules["worker"] = self._worker_module
        try:
            for block in script:
                if block.kind in parts:
                    parts[block.kind](block)
        finally:
            del sys.modules["worker"]
            self._end()

    def _declare(self, block: Block) -> None:
        exec(compiled(block), vars(self._worker_module))

    def _call(self, block: Block) -> None:
        self._start_workers()
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compiled(block), self._caller)
        self._printed = printed.getvalue()

    def _type(self, block: Block) -> None:
        self._start_workers()
        result = subprocess.run(
            ["bash", "-euc", block.text], cwd=self._folder, env=self._environment(), capture_output=True, text=True,
            timeout=COMMAND_MAX_S, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{block.page.name}:{block.line}\n{result.stdout}{result.stderr}"
        self._printed = result.stdout

    def _environment(self) -> dict[str, str]:
        run = self._caller.get("ref")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, **self._engine.environment, "PATH": path, "RUN": getattr(run, "workflow_run_id", "")}

    def _compare(self, block: Block) -> None:
        assert self._printed is not None, f"{block.page.name}:{block.line} shows the output of nothing"
        pattern = "".join(".*?" if part == "…" else re.escape(part) for part in re.split("(…)", squeezed(block.text)))
        assert re.fullmatch(pattern, squeezed(self._printed), re.DOTALL), (
            f"{block.page.name}:{block.line} shows\n{block.text}\nbut this was printed:\n{self._printed}"
        )

    # Workers, in a thread with an event loop of its own

    def _start_workers(self) -> None:
        workers = [value for value in vars(self._worker_module).values() if isinstance(value, Worker)]
        if self._thread is not None or not workers:
            return
        self._thread = threading.Thread(target=self._serve, args=(workers,), name="workers of the page")
        self._thread.start()
        assert self._ready.wait(READY_WITHIN_S), "the page's workers did not connect"
        if self._failure is not None:
            raise self._failure

    def _serve(self, workers: list[Worker]) -> None:
        try:
            self._loop.run_until_complete(self._serve_all(workers))
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve_all(self, workers: list[Worker]) -> None:
        async with AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker)
            self._ready.set()
            await self._stop.wait()

    def _end(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._loop.close()
        if self._failure is not None:
            raise self._failure


def compiled(block: Block) -> Any:
    """The code, with the lines that it has on its page, for tracebacks."""
    return compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")


def squeezed(text: str) -> str:
    """Without the blanks at line ends and the empty lines around."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
