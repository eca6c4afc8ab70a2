"""The testing guide is a test module: its blocks, joined, are run by pytest; what it says of a failure is compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from limpet import Context, EmptyModel, Limpet
from limpet.testing import EmbeddedEngine, FakeWorker, plugin

pytest_plugins = ("pytester",)
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "testing.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TESTS = [text for kind, text in BLOCK.findall(PAGE) if kind == "python test"]


def test_the_page_passes(pytester: pytest.Pytester) -> None:
    names = re.findall(r"^(?:async )?def (test_\w+)", "\n".join(TESTS), re.MULTILINE)
    assert len(names) == len(TESTS)
    pytester.makepyfile("\n\n".join(TESTS))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    result.assert_outcomes(passed=len(names))


def test_a_failure_reads_as_the_page_says(limpet_engine: EmbeddedEngine, limpet_client: Limpet) -> None:
    @limpet_client.task(name="lonely")
    def lonely(input: EmptyModel, ctx: Context) -> dict:
        return {}

    FakeWorker(limpet_engine, "too-small", [lonely], slots={"other": 1})
    run = lonely.run(wait_for_result=False)
    with pytest.raises(AssertionError) as caught:
        limpet_engine.wait_until_ended(run, within_s=0.1)
    [shown] = [text for kind, text in BLOCK.findall(PAGE) if kind == "text"]
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("…"))
    said = str(caught.value).replace("waited 0.1 s", "waited 10 s")
    assert re.fullmatch(pattern, said, re.DOTALL), said


def test_the_page_lists_every_fixture_and_method() -> None:
    fixtures = set(re.findall(r"^@pytest.fixture\ndef (\w+)", Path(str(plugin.__file__)).read_text(), re.MULTILINE))
    assert "limpet_engine" in fixtures
    methods = {name for name in dir(EmbeddedEngine) if name.startswith(("assert_", "wait_", "advance", "explain"))}
    assert not {name for name in fixtures | methods if f"`{name}" not in PAGE}
