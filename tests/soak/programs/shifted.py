"""Run a module as `python -m` does, in a process whose wall clock is ahead by what a file says: seconds, read at each look.

The monotonic clock stays as it is: this is what an operator, a bad time server or a thawed machine does to a process.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

NANOSECONDS = 1_000_000_000


def main() -> None:
    """Arguments: the file, the module, what the module is given. No file, no shift."""
    _, ahead, module, *rest = sys.argv
    shift_by(Path(ahead))
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def shift_by(file: Path) -> None:
    """Everything that is imported from here on sees the shifted clock."""
    real_ns = time.time_ns

    def shifted_ns() -> int:
        return real_ns() + (int(file.read_text()) * NANOSECONDS if file.exists() else 0)

    time.time_ns = shifted_ns
    time.time = lambda: shifted_ns() / NANOSECONDS


if __name__ == "__main__":
    main()
