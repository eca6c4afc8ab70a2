"""What the figures were measured on, and how busy it was with other things."""

from __future__ import annotations

import os
import platform
import sqlite3
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("limpet", "hatchet-sdk", "grpcio", "protobuf", "pydantic", "orjson", "msgspec")


def describe() -> dict[str, Any]:
    """The machine and the versions of what matters for speed."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


@dataclass(slots=True)
class Load:
    """How busy all cores were while something was measured: ours and everybody else's work together."""

    load_average_before: float = field(default_factory=lambda: round(os.getloadavg()[0], 2))
    _times: Any = field(default_factory=psutil.cpu_times)

    def so_far(self) -> dict[str, float]:
        """`busy`, `stolen`: shares of all cores, 0 to 1; stolen is what the host took away."""
        now, then = psutil.cpu_times(), self._times
        total = sum(now) - sum(then)
        stolen = getattr(now, "steal", 0.0) - getattr(then, "steal", 0.0)
        idle = now.idle - then.idle + getattr(now, "iowait", 0.0) - getattr(then, "iowait", 0.0)
        return {
            "load_average_before": self.load_average_before,
            "busy": round(1 - (idle + stolen) / total, 3),
            "stolen": round(stolen / total, 3),
        }
