"""What tasks write while they run: one JSON line each, so that a test can compare what ran with what was asked for."""

from __future__ import annotations

import json
import os
import time
from typing import Any


def write(kind: str, **facts: Any) -> None:
    """Append a line to the journal named by JOURNAL; one `write` call, so lines of several processes never mix."""
    line = json.dumps({"kind": kind, "pid": os.getpid(), "at": time.time(), **facts}) + "\n"
    descriptor = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(path: str) -> list[dict[str, Any]]:
    """All lines so far."""
    try:
        with open(path) as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]  # the last one may be half written
    except FileNotFoundError:
        return []
