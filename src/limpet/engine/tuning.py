"""Settings of the interpreter that only a process which *is* the engine should touch."""

from __future__ import annotations

import gc

YOUNG_OBJECTS_MAX = 50_000  # a busy turn makes tens of thousands of objects, nearly all freed by their counts
MIDDLE_COLLECTIONS, OLD_COLLECTIONS = 20, 50


def tune_gc() -> None:
    """Spare what was loaded at start from collection and collect less often. For the command line, not for a library."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, MIDDLE_COLLECTIONS, OLD_COLLECTIONS)
