"""What a benchmark found: figures with all their runs, printed for people and kept as JSON in `results/`."""

from __future__ import annotations

import json
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine

FOLDER = Path(__file__).with_name("results")


class Report:
    """One benchmark's figures. `save` prints the rest and writes the file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._load = machine.Load()
        self._machine = machine.describe()
        module = sys.modules["__main__"].__spec__
        self._command = shlex.join(["python", "-m", module.name if module else f"bench.{name}", *sys.argv[1:]])
        self._figures: dict[str, dict[str, Any]] = {}
        self._raw: dict[str, Any] = {}
        self._measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        print(f"$ {self._command}")
        print(", ".join(f"{key} {value}" for key, value in self._machine.items() if key != "packages"))
        print(", ".join(f"{key} {value}" for key, value in self._machine["packages"].items()))

    def figure(self, name: str, runs: Sequence[float], unit: str) -> float:
        """A measured thing, once for each run. Returns the median."""
        rounded = [float(f"{run:.4g}") for run in runs]
        median = float(f"{statistics.median(rounded):.4g}")
        self._figures[name] = {"unit": unit, "median": median, "min": min(rounded), "max": max(rounded), "runs": rounded}
        print(f"  {name:<44} {median:>10g} {unit:<8} ({min(rounded):g} to {max(rounded):g}, {len(rounded)} runs)", flush=True)
        return median

    def raw(self, name: str, values: Any) -> None:
        """Single samples, for whoever wants to look closer."""
        self._raw[name] = values

    def save(self) -> None:
        """Write `results/NAME.json`."""
        load = self._load.so_far()
        print(
            "  cores busy {busy:.0%}, stolen by the host {stolen:.1%}; load average before {load_average_before}".format(**load)
        )
        content = {
            "command": self._command, "measured_at": self._measured_at, "machine": self._machine, "load": load,
            "figures": self._figures, "raw": self._raw,
        }  # fmt: skip
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{self.name}.json"
        text = json.dumps(content, indent=1)
        path.write_text(_lists_on_one_line(text) + "\n")
        print(f"  -> {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _lists_on_one_line(text: str) -> str:
    """Numbers of a list side by side: hundreds of samples are a few lines to read and to compare."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if inside:
            lines[-1] += line.strip() + ("" if line.strip().startswith("]") else " ")
            inside = not line.strip().startswith("]")
        else:
            lines.append(line)
            inside = line.rstrip().endswith("[")
    return "\n".join(line.replace(" ]", "]") for line in lines)


def load(name: str) -> dict[str, Any]:
    """What `save` wrote."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return content


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample below which that share lies."""
    ordered = sorted(samples)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
