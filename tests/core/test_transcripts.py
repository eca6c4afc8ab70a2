"""Every transcript is what the core does. `make transcripts` rewrites them; read the difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.transcript import FOLDER, perform

TRANSCRIPTS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_core_behaves_as_written(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert perform(text) == text


def test_the_stories_are_there() -> None:
    assert len(TRANSCRIPTS) >= 12


def test_a_transcript_that_is_wrong_is_noticed() -> None:
    text = TRANSCRIPTS[0].read_text(encoding="utf-8")
    assert perform(text.replace("    row task", "    row tusk")) == text
