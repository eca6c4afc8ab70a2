"""What an operator reads of an outage: once what is wrong, and again only when something else is."""

from __future__ import annotations

import logging

import pytest

from limpet.engine.clock import ManualClock
from limpet.engine.patience import SAID_AGAIN_US, Troubles
from limpet.store.api import TransientStoreError


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The causes in the log, in order."""
    return [str(record.args[1]) for record in caplog.records if record.levelno == logging.WARNING and record.args]


def test_an_outage_is_logged_once_and_again_when_its_cause_has_changed(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    troubles = Troubles(clock.now)
    gone, full = TransientStoreError("the connection was closed"), TransientStoreError("no connection is left")
    for _ in range(3):
        troubles.begin("commit", gone)
    troubles.begin("commit", full)
    assert said(caplog) == ["the connection was closed"], "its first moments say many things"
    clock.advance(SAID_AGAIN_US)
    for _ in range(3):
        troubles.begin("commit", full)
    assert said(caplog) == ["the connection was closed", "no connection is left"]
    troubles.end("commit")
    troubles.begin("commit", full)
    assert len(said(caplog)) == 3, "another outage"
    assert troubles.sentences() == ["The store refuses to commit: no connection is left"]
