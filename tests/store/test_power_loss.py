"""T-POWER-LOSS: what was acknowledged needs nothing that was written after the last sync. By name; needs strace.

A process that is killed keeps what it wrote, because the kernel has it; a machine that loses its power keeps what was synced.
So one program runs twice. Killed as it enters its n-th sync, it leaves exactly what that sync makes durable. Killed as it
enters the next one, it has acknowledged all that it ever would before a loss of power between the two. The first
file must hold the second list.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from limpet.store.sqlite import SqliteStore
from limpet.store.sqlite.maintenance import check
from tests.store.builders import stored_fence
from tests.store.test_sqlite_commit import COMMITTER

ROOT = Path(__file__).resolve().parents[2]
SYNCS = (12, 13, 25, 60, 150)  # around the first commits, in their midst, and behind a checkpoint
SYNC_CALLS = "fsync,fdatasync"

pytestmark = pytest.mark.slow


def killed_entering(sync: int, folder: Path) -> list[int]:
    """Sequence numbers that the program had acknowledged when its n-th sync began, and was its last act."""
    folder.mkdir()
    program = [sys.executable, "-c", COMMITTER, str(folder / "store.db")]
    inject = ["-e", f"trace={SYNC_CALLS}", "-e", f"inject={SYNC_CALLS}:signal=SIGKILL:when={sync}"]
    strace = ["strace", "-f", "-qq", "-o", str(folder / "calls"), *inject]
    ended = subprocess.run([*strace, *program], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert "SIGKILL" in (folder / "calls").read_text(), f"the program was not killed: {ended.stderr}"
    return [int(line.split()[0]) for line in ended.stdout.splitlines() if line.count(" ") == 1]


@pytest.mark.parametrize("sync", SYNCS)
async def test_T_POWER_LOSS_what_was_acknowledged_had_been_synced(tmp_path: Path, sync: int) -> None:
    assert shutil.which("strace"), "this test needs strace; install it, or leave the test out: it runs by name only"
    killed_entering(sync, tmp_path / "durable")
    acknowledged = killed_entering(sync + 1, tmp_path / "later")
    store = SqliteStore(tmp_path / "durable" / "store.db")
    await store.open()
    fence = await stored_fence(store)
    await store.close()
    assert fence.seq >= max(acknowledged, default=0)
    assert check(store.path) == []
