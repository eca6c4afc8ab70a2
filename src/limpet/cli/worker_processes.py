"""Finding the workers of a module, and running them: one in this process, several in a process each."""

from __future__ import annotations

import importlib
import inspect
import os
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import grpc

from limpet.cli.exits import CommandError, Misuse, Unreachable
from limpet.cli.printing import print_note
from limpet.sdk._transport import code_of, text_of
from limpet.sdk.exceptions import EngineNotFoundError
from limpet.sdk.worker import Worker

RELOAD_GRACE_S = 30  # a changed file may cut off a task that takes longer; development only
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_target(target: str) -> None:
    """Run what `MODULE[:NAME]` means, to its end."""
    module_name, _, name = target.partition(":")
    module = load_module(module_name)
    if name:
        start(named(module, name), target)
        return
    found = workers_of(module)
    if not found:
        raise Misuse(
            f"The module {module_name} has no worker as a top-level name.",
            f"Write `worker = limpet.worker(...)` there, or name a function that makes one: limpet worker {module_name}:main",
        )
    if len(found) == 1:
        start(next(iter(found.values())), target)
    else:
        run_all([f"{module_name}:{each}" for each in found])


def load_module(name: str) -> ModuleType:
    """Import a module as Python would from this directory. A path to a file is understood, too."""
    if name.endswith(".py"):
        name = name.removesuffix(".py").strip("./").replace(os.sep, ".")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise Misuse(f"There is no module {name}.", f"Looked in {os.getcwd()} and where Python looks.") from error
        raise CommandError(f"The module {name} needs {error.name}, which is not installed.") from error
    except Exception as error:
        raise CommandError(f"The module {name} cannot be imported.", where_it_failed(error)) from error


def where_it_failed(error: Exception) -> str:
    """A traceback that begins in the user's code, not in ours and not in the import machinery."""
    trace = error.__traceback__
    while trace is not None and is_inner(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace, chain=False)).rstrip()


def is_inner(file: str) -> bool:
    """Whether a frame of this file is a step on the way to the user's module."""
    return file == __file__ or file.startswith("<frozen importlib") or file == importlib.__file__


def named(module: ModuleType, name: str) -> object:
    """The thing behind a name in a module, dots allowed. Raises Misuse."""
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Misuse(f"The module {module.__name__} has no {name}.")
        found = getattr(found, part)
    return found


def workers_of(module: ModuleType) -> dict[str, Worker]:
    """A module's workers by their first name; one that has two names is one worker."""
    found: dict[int, tuple[str, Worker]] = {}
    for name, value in vars(module).items():
        if isinstance(value, Worker):
            found.setdefault(id(value), (name, value))
    return dict(found.values())


def start(thing: object, target: str) -> None:
    """Start a worker, or call the function that makes one or runs one itself."""
    if not isinstance(thing, Worker) and callable(thing):
        thing = called(thing, target)
        if thing is None:
            return  # the function ran its worker itself
    if not isinstance(thing, Worker):
        raise Misuse(f"{target} is {type(thing).__name__}, not a worker and not a function that makes one.")
    try:
        thing.start()
    except EngineNotFoundError as error:
        raise Unreachable(str(error)) from error
    except grpc.RpcError as error:
        raise CommandError(f"The engine refuses the worker {thing.name}: {text_of(error) or code_of(error).name}") from error


def called(function: Callable[..., Any], target: str) -> object:
    """What a function without required arguments returns."""
    required = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if required:
        raise Misuse(f"The function {target} wants {', '.join(required)}; it must do without arguments.")
    return function()


def command(target: str) -> list[str]:
    """This command line for another target."""
    return [sys.executable, "-m", "limpet.cli.main", "worker", target]


def run_all(targets: Sequence[str]) -> None:
    """One process for each; signals go to all of them, and when one fails the others are asked to stop."""
    children = {target: subprocess.Popen(command(target)) for target in targets}

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for child in children.values():
            if child.poll() is None:
                child.send_signal(number)

    for number in STOP_SIGNALS:
        signal.signal(number, pass_on)
    failed = wait_for_all(children)
    if failed:
        raise CommandError(f"These workers ended with a failure: {', '.join(failed)}.")


def wait_for_all(children: dict[str, subprocess.Popen[bytes]]) -> list[str]:
    """The targets that failed, once all have ended."""
    failed: list[str] = []
    by_process = {child.pid: target for target, child in children.items()}
    while by_process:
        pid, status = os.waitpid(-1, 0)
        target = by_process.pop(pid, None)
        if target is None:
            continue
        children[target].returncode = os.waitstatus_to_exitcode(status)
        if children[target].returncode != 0:
            failed.append(target)
            for other in children.values():
                if other.poll() is None:
                    other.terminate()
    return failed


def run_reloading(target: str, paths: Sequence[Path]) -> None:
    """Run the target in a process of its own and start it again after each change."""
    from watchfiles import PythonFilter, run_process

    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise Misuse(f"There is nothing to watch at {', '.join(missing)}.")

    def say(changes: set[Any]) -> None:
        print_note(f"limpet: {len(changes)} {'file' if len(changes) == 1 else 'files'} changed; starting again.")

    run_process(
        *paths,
        target=shlex.join(command(target)),
        target_type="command",
        callback=say,
        watch_filter=PythonFilter(),
        sigint_timeout=RELOAD_GRACE_S,
    )
