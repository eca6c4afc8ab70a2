"""`limpet` for whom file permissions count, also when the tests run as root: `python -m tests.hostile.unprivileged ARGUMENTS`.

A program of its own and no function between fork and exec: a forked copy of a process in which gRPC's threads have run can abort there.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2  # <linux/prctl.h>, <linux/capability.h>


def main() -> None:
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
    os.execv(sys.executable, [sys.executable, "-m", "limpet.cli.main", *sys.argv[1:]])


if __name__ == "__main__":
    main()
