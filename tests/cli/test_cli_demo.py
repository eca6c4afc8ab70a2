"""`limpet demo`, with all its processes; and what it says when a promise is broken."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from limpet.cli.demo.acts import Promise, Report
from limpet.cli.demo.command import show


@pytest.mark.timeout(120)
def test_the_demo_keeps_every_promise_and_says_what_ran_where() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "limpet.cli.main", "demo", "--json"], capture_output=True, text=True, timeout=110, check=False
    )
    assert ended.returncode == 0, ended.stdout[-2_000:] + ended.stderr[-2_000:]
    told = json.loads(ended.stdout)
    assert told["kept"] is True
    assert len(told["promises"]) == 10
    assert {"north", "south", "single", "nobody"} <= {sighting["ran_on"] for sighting in told["sightings"]}


def test_a_broken_promise_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.check("Water is wet", True, "it is")
    report.check("Fire is cold", False, "ouch")
    assert not report.kept
    show(report, 1.0)
    text = capsys.readouterr().out
    assert "✗ BROKEN  Fire is cold (ouch)" in text
    assert "1 of 2 promises BROKEN" in text
    assert report.promises[0] == Promise("Water is wet", True, "it is")
