"""The guide does what it says: its programs run, and print what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from limpet.sdk.telemetry.hooks import hook
from limpet.testing import EmbeddedEngine
from tests.documentation.pages import DOCS, GUIDE, Block, blocks, shown_name
from tests.documentation.stage import Stage

PLAYED = {"python worker", "python run", "sh run", "text output"}
OTHER_KINDS = {"sh", "text", "toml", "json", "mermaid", "ts", "python test"}  # tests are run by tests/testing
MANUALS = [*GUIDE, *sorted((DOCS / "operating").glob("*.md"))]
WITH_A_PLAY = [page for page in MANUALS if any(block.kind in PLAYED for block in blocks(page))]


@pytest.mark.timeout(30)  # a page whose worker gets nothing to do would wait for ever
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("page", WITH_A_PLAY, ids=shown_name)
def test_a_page_runs_as_it_stands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedEngine() as engine:
        for name, value in engine.environment.items():
            monkeypatch.setenv(name, value)
        try:
            Stage(engine, tmp_path).play(blocks(page))
        finally:
            hook.set(None)  # a page may let a tracer look into this process


def test_most_of_the_guide_is_played() -> None:
    assert len(WITH_A_PLAY) >= 9


@pytest.mark.parametrize("page", MANUALS, ids=shown_name)
def test_python_on_a_page_is_never_just_shown(page: Path) -> None:
    idle = [f"line {block.line}: {block.kind}" for block in blocks(page) if block.kind not in PLAYED | OTHER_KINDS]
    assert not idle, f"{page.name} has blocks that no test runs: {idle}"


def test_other_output_than_shown_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    script = [Block(page, 1, "python run", "print('one two')"), Block(page, 5, "text output", "one …\n")]
    with EmbeddedEngine() as engine:
        Stage(engine, tmp_path).play(script)
        with pytest.raises(AssertionError, match="but this was printed"):
            Stage(engine, tmp_path).play([script[0], Block(page, 5, "text output", "one three\n")])
