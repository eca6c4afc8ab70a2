"""Tuning of the interpreter happens only on request."""

from __future__ import annotations

import gc

from limpet.engine.tuning import YOUNG_OBJECTS_MAX, tune_gc


def test_the_collector_is_tuned_on_request_only() -> None:
    before = gc.get_threshold()
    assert before[0] != YOUNG_OBJECTS_MAX, "importing the engine does not touch it"
    try:
        tune_gc()
        assert gc.get_threshold()[0] == YOUNG_OBJECTS_MAX
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
