"""Flow control in flight while the engine is killed, over both stores: it loses nothing and doubles nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from traceback import format_exception

import pytest

from limpet.store.sqlite.maintenance import check
from tests.killed.place import Place
from tests.killed.scenes import clock, events, keys, limits
from tests.postgres.fixtures import Databases

pytestmark = pytest.mark.timeout(300)  # some 20 s each on a quiet machine; what they wait for is bounded on its own

Scene = Callable[[Place], AsyncGenerator[None, None]]
SCENES: tuple[Scene, ...] = (*limits.SCENES, *clock.SCENES, *events.SCENES, *keys.SCENES)
KILLS = 3
SCENE_WITHIN_S = 60.0  # from one kill to the next


class Playing:
    """A scene that is under way; what it fails of is kept, and the others go on."""

    def __init__(self, scene: Scene, place: Place) -> None:
        self.name, self._parts = scene.__name__, scene(place)
        self.failed: Exception | None = None

    async def go_on(self, *, to_the_end: bool = False) -> None:
        """To its next kill, or to its end."""
        if self.failed is not None:
            return
        try:
            async with asyncio.timeout(SCENE_WITHIN_S):
                has_more = await anext(self._parts, "the end") is None
            assert has_more is not to_the_end, f"a scene has {KILLS} kills"
        except Exception as error:
            error.add_note(f"in the scene {self.name}")
            self.failed = error


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_T_KILL_ENGINE_flow_control_in_flight_outlives_every_kill(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """RL1, C1, I3, E1, T12: an hour without any engine, then a death with a successor, then only the store."""
    databases: Databases | None = request.getfixturevalue("databases") if kind == "postgres" else None
    place = Place(tmp_path, await databases.empty() if databases else str(tmp_path / "store.db"))
    scenes = [Playing(scene, place) for scene in SCENES]
    try:
        await place.open()
        await play(scenes, (place.an_hour_without_anybody, place.death, place.end))
    finally:
        await place.close()
    failures = [*(scene.failed for scene in scenes if scene.failed), *place.broken]
    if failures:
        pytest.fail("\n".join("".join(format_exception(error)) for error in failures), pytrace=False)
    assert place.truth.violations() == []
    assert kind != "sqlite" or check(tmp_path / "store.db") == []


async def play(scenes: Sequence[Playing], kills: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Every scene up to each kill, then to its end."""
    assert len(kills) == KILLS
    for kill in kills:
        await asyncio.gather(*(scene.go_on() for scene in scenes))
        await kill()
    for scene in scenes:
        await scene.go_on(to_the_end=True)
