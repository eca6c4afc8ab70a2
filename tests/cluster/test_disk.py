"""The disk of the database is full."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import audit, stage_on
from tests.cluster.records import until
from tests.cluster.stage import RATES, SEED, WORKERS, Cluster
from tests.postgres.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DISK_MB = 256
LEFT_BYTES = 256 * 1024  # for the load to use up
FULL_WITHIN_S = 40.0


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system in memory, of this size; mounting one takes root."""
    place = tmp_path_factory.mktemp("disk")
    for folder in (place, *place.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)  # PostgreSQL runs as another user
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0755", "tmpfs", str(place)], check=True)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_T_DISK_FULL_the_old_is_kept_and_the_new_waits_until_there_is_space(small_disk: Path, tmp_path: Path) -> None:
    """R8, L6: commits fail, are kept and tried again; new work is refused after a while; then everything goes on."""
    database = Server()
    try:
        database.start(max_wal_size="32MB", min_wal_size="32MB")
        async with stage_on(tmp_path, database, Cluster) as stage:
            await stage.start(dict(WORKERS), dict(RATES), SEED)
            await stage.serves()
            marks, asked = {name: log.mark for name, log in stage.logs.items()}, stage.seen.mark
            ballast = fill(small_disk)
            owner = stage.the_owner()
            trouble = await stage.logged(owner, "store.trouble", marks[owner.name], within_s=FULL_WITHIN_S)
            assert "the disk is full" in trouble["message"], trouble["message"]
            await until("a trigger is refused", lambda: stage.refused(asked), FULL_WITHIN_S)
            ballast.unlink()
            if not database.is_running:  # it gives up when its log of changes finds no space; an operator starts it again
                await asyncio.to_thread(database.start, max_wal_size="32MB", min_wal_size="32MB")
            await stage.serves(within_s=60.0)
            await audit(stage)
    finally:
        database.remove()


def fill(place: Path) -> Path:
    """Leave next to nothing."""
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        stat = subprocess.run(["df", "--output=avail", "-B1", str(place)], capture_output=True, text=True, check=True)
        file.write(bytes(int(stat.stdout.split()[-1]) - LEFT_BYTES))
    return ballast
