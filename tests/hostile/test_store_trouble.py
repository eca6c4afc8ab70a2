"""A store in trouble under a real engine process: full, read-only, damaged, newer, taken, dying (R8, L6)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode as S

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import events_pb2 as events
from limpet.contracts import trigger_pb2 as triggers

from .house import ANSWER_WITHIN_S, Callers, Status, status_of

MEBIBYTE = 1024 * 1024
DISK_BYTES, BALLAST_BYTES = 8 * MEBIBYTE, 4 * MEBIBYTE
ROOT = Path(__file__).resolve().parents[2]
LIMPET = (sys.executable, "-m", "limpet.cli.main")
UNPRIVILEGED = (sys.executable, "-m", "tests.hostile.unprivileged")
Room = Callable[[], None]


class Process:
    """An engine process on a store; ended by its pid."""

    def __init__(self, store: Path, *more: str, program: tuple[str, ...] = LIMPET, **how: Any) -> None:
        command = [*program, "dev", "--store", str(store), "--grpc-port", "0", "--http-port", "0", "--json", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, **how)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready: dict[str, Any] = json.loads(line) if line else {}

    def callers(self) -> Callers:
        assert self.ready, self.ended()
        return Callers(self.ready["grpc"], self.ready["http"], self.ready["token"])

    def ended(self) -> tuple[int, str]:
        """Exit code and what it said, once it has ended by itself."""
        _, said = self.process.communicate(timeout=ANSWER_WITHIN_S)
        return self.process.returncode, said

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.ended()


@contextlib.contextmanager
def engine(store: Path, *more: str, **how: Any) -> Iterator[Process]:
    """A running process, killed at the end if the test did not stop it."""
    one = Process(store, *more, **how)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def can_mount() -> bool:
    """Whether this user, in this place, may have a file system of its own."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


async def trigger(callers: Callers, payload: bytes) -> Status | str:
    """A run's id, or how it was refused; a call that is kept waiting is left after a second."""
    call = callers.open("/WorkflowService/TriggerWorkflow", triggers.TriggerWorkflowRequest(name="kept", input=payload))
    try:
        async with asyncio.timeout(1):
            return str((await call).workflow_run_id)
    except TimeoutError:
        call.cancel()
        return S.CANCELLED, "left"
    except Exception:
        return await status_of(call)


async def becomes(what: str, holds: Callable[[], Any]) -> None:
    """Ask again until it is so; the asking itself takes its time."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while not await holds():
        assert time.monotonic() < deadline, f"in vain: {what}"


async def is_ready(callers: Callers) -> bool:
    return (await callers.http.get("/ready")).status_code == 200


async def fill_and_empty(callers: Callers, take_room: Room, give_room: Room) -> None:
    """What T-DISK-FULL asks for, whatever it is that makes the disk full."""
    await callers.workflow("kept")
    worker = await callers.worker("something-else")
    kept = [await callers.trigger("kept", input=b'{"before": true}')]
    take_room()
    payload = b'{"a": "' + b"x" * MEBIBYTE + b'"}'
    refusals: list[Status] = []
    while not any(code is S.UNAVAILABLE for code, _ in refusals):
        assert len(refusals) < 30, "the disk never became full, or its fullness was never told"
        answer = await trigger(callers, payload)
        kept.append(answer) if isinstance(answer, str) else refusals.append(answer)
    assert refusals[-1][1] == "the engine's store takes no commits right now, so nothing new is taken on: try again in a moment"
    by_rest = await callers.trigger_by_rest({"workflowName": "kept", "input": {}})
    assert by_rest.status_code == 503
    not_ready = await callers.http.get("/ready")
    assert not_ready.status_code == 503
    assert "its store does not take commits" in not_ready.text
    assert (await callers.http.get("/health")).status_code == 200
    await callers.call("/Dispatcher/Heartbeat", wire.HeartbeatRequest(worker_id=worker.id))
    assert not worker.stream.done(), "R10: a full disk disconnects nobody"
    for run_id in kept:
        assert (await callers.details(run_id)).status == admin.RunStatus.QUEUED, "what was kept can still be read"
    give_room()
    await becomes("ready again once there is space", lambda: is_ready(callers))
    await worker.leave()
    await callers.is_alive()
    for run_id in kept:
        assert (await callers.details(run_id)).status == admin.RunStatus.QUEUED


QUICK = ("--set", "refuse_work_after=300ms", "--set", "backoff_max=200ms", "--log-level", "info")


@contextlib.contextmanager
def bounded_files(folder: Path) -> Iterator[tuple[Process, Room, Room]]:
    """By a bound on the size of files, which needs no rights: writes fail in the kernel as on a broken disk."""
    with engine(folder / "store.db", *QUICK) as one:

        def bound(size: int) -> None:
            resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        yield one, lambda: bound(3 * MEBIBYTE), lambda: bound(resource.RLIM_INFINITY)


@contextlib.contextmanager
def small_disk_with_ballast(folder: Path) -> Iterator[tuple[Process, Room, Room]]:
    """By a disk that really is full, until something on it is deleted."""
    with small_disk(folder) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"\0" * BALLAST_BYTES)
        with engine(disk / "store.db", *QUICK) as one:
            yield one, lambda: None, ballast.unlink


FULL_DISKS = {bounded_files: "the disk reported an input/output error"} | (
    {small_disk_with_ballast: "the disk is full: free some space"} if can_mount() else {}
)


@pytest.mark.parametrize("disk", FULL_DISKS, ids=lambda value: value.__name__)
async def test_T_DISK_FULL_new_work_is_refused_old_work_kept_and_space_mends_it(tmp_path: Path, disk: Any) -> None:
    with disk(tmp_path) as (one, take_room, give_room):
        async with one.callers() as callers:
            await fill_and_empty(callers, take_room, give_room)
        code, said = one.stop()
    assert code == 0, said
    assert said.count("The store refuses to commit and is tried again until it does") == 1, "one event, not a flood of lines"
    assert FULL_DISKS[disk] in said
    assert "The store answers again when it is asked to commit" in said


async def test_T_FSYNC_FAIL_the_process_ends_and_what_was_acknowledged_is_there_afterwards(tmp_path: Path) -> None:
    store, program = tmp_path / "store.db", (sys.executable, "-m", "tests.hostile.failing_disk")
    with engine(store, program=program) as one:
        async with one.callers() as callers:
            await callers.workflow("kept")
            kept = [await callers.trigger("kept") for _ in range(5)]
            one.process.send_signal(signal.SIGUSR1)
            answer = await trigger(callers, b"{}")
            while isinstance(answer, str):  # until the signal has arrived
                kept.append(answer)
                answer = await trigger(callers, b"{}")
            assert answer[0] is S.UNAVAILABLE, answer
            assert str(store) not in answer[1]
        code, said = one.ended()
        assert code != 0
        assert "The engine ended because its store cannot be trusted any more" in said
        assert "The disk failed to keep" in said
    with engine(store) as again:
        async with again.callers() as callers:
            for run_id in kept:
                assert (await callers.details(run_id)).status == admin.RunStatus.QUEUED
            await callers.is_alive()


@pytest.mark.parametrize("has_store", [False, True], ids=["a folder", "a file in a folder"])
def test_T_DB_READONLY_what_may_not_be_written_is_refused_at_the_start(tmp_path: Path, has_store: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "store.db"
    if has_store:
        with engine(path) as one:
            assert one.stop()[0] == 0
    for each in folder.iterdir():
        each.chmod(0o444)
    folder.chmod(0o555)
    with engine(path, program=UNPRIVILEGED) as one:
        code, said = one.ended()
    folder.chmod(0o755)
    assert code == 1, said
    assert "Traceback" not in said
    assert str(path) in said
    assert "this user be allowed to write there" in said


@pytest.fixture
def used_store(tmp_path: Path) -> Path:
    """A store that an engine has made and left."""
    with engine(tmp_path / "store.db") as one:
        assert one.stop()[0] == 0
    return tmp_path / "store.db"


def test_a_second_process_on_the_same_file_is_refused_and_the_first_goes_on(used_store: Path) -> None:
    with engine(used_store) as first, engine(used_store) as second:
        code, said = second.ended()
        assert code == 1
        assert f"is in use by process {first.process.pid}" in said
        assert "Traceback" not in said

        async def look() -> None:
            async with first.callers() as callers:
                await callers.is_alive()

        asyncio.run(look())
        assert first.stop()[0] == 0


def damaged_head(store: Path) -> None:
    with store.open("r+b") as file:
        file.write(b"\xde\xad\xbe\xef" * 32)


def damaged_middle(store: Path) -> None:
    with store.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (store.stat().st_size - 4096))


def no_database(store: Path) -> None:
    store.write_text("this is a letter to my aunt, and no store at all " * 200)


def of_somebody_else(store: Path) -> None:
    store.unlink()
    with contextlib.closing(sqlite3.connect(store)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")


def of_a_newer_version(store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store)) as other:
        other.execute("INSERT INTO schema_version (number, name, release) VALUES (9999, '9999_later.sql', '99.0')")
        other.commit()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (damaged_head, "damaged or no SQLite file"),
        (damaged_middle, "damaged"),
        (no_database, "damaged or no SQLite file"),
        (of_somebody_else, "is a SQLite file, but no Limpet store"),
        (of_a_newer_version, "has schema 9999, made by Limpet 99.0"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_R47_a_file_that_is_no_usable_store_is_refused_with_what_to_do_and_not_touched(
    used_store: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(used_store)
    before = used_store.read_bytes()
    with engine(used_store) as one:
        code, said = one.ended()
    assert code in (1, 2), said
    assert says in said
    assert "Traceback" not in said
    assert used_store.read_bytes() == before


def test_X13_a_server_without_TLS_beyond_loopback_and_a_dev_engine_beyond_loopback_do_not_start(tmp_path: Path) -> None:
    for arguments, says in (
        (("server", "--store", "s.db", "--host", "0.0.0.0"), "Tokens would travel unencrypted to 0.0.0.0"),
        (("server", "--store", "s.db", "--host", "::"), "Tokens would travel unencrypted to ::"),
        (("server",), "No store is named"),
        (("dev", "--host", "0.0.0.0"), ""),
    ):
        ended = subprocess.run(
            [*LIMPET, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=ANSWER_WITHIN_S, check=False
        )
        assert ended.returncode == 2, ended.stderr
        assert says in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not (tmp_path / "s.db").exists()


def files_with(text: bytes, folder: Path) -> set[str]:
    """Names of the store's files that hold the text."""
    return {file.name for file in folder.glob("store.db*") if text in file.read_bytes()}


async def test_R10_a_flood_of_log_lines_is_dropped_and_counted_and_touches_no_commit(tmp_path: Path) -> None:
    """T-LOG-FLOOD with a log file that takes nothing: somebody else holds it, as a slow disk would."""
    with engine(tmp_path / "store.db", "--set", "log_queue_max=50", "--set", "log_batch_max=10") as one:
        async with one.callers() as callers:
            name = await callers.workflow("noisy")
            worker = await callers.worker(name)
            run_id = await callers.trigger(name)
            start = await worker.start()
            with contextlib.closing(sqlite3.connect(tmp_path / "store.db-logs", isolation_level=None)) as hog:
                hog.execute("BEGIN IMMEDIATE")
                commits = (await callers.metrics())["limpet_commit_seq"]
                line = events.PutLogRequest(task_run_external_id=start.task_run_external_id, message=b"canary-line " * 50)
                answers = await asyncio.gather(*(callers.status("/EventsService/PutLog", line) for _ in range(500)))
                assert {code for code, _ in answers} == {S.OK}, "a task does not fail because its lines are dropped"
                metrics = await callers.metrics()
                assert metrics["limpet_dropped_logs_total"] >= 400
                assert metrics["limpet_commit_seq"] - commits <= 1, "no commit carries a line"
                assert await is_ready(callers), "a log file in trouble does not make the engine unready"
                await worker.report(start, wire.STEP_EVENT_TYPE_COMPLETED)
                assert (await callers.details(run_id)).done
                hog.execute("ROLLBACK")
            await worker.leave()
            await callers.is_alive()
        one.stop()
    assert files_with(b"canary-line", tmp_path) <= {"store.db-logs", "store.db-logs-wal"}
