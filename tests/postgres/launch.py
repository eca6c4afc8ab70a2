"""Becomes a program that runs as somebody else and ends with its parent: `python launch.py UID GID PROGRAM ARGUMENTS`; UID -1 stays who it is.

A program of its own and no function between fork and exec: a forked copy of a process in which gRPC's threads have run can abort there.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(user: int, group: int, *command: str) -> None:
    if user >= 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    assert ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0) == 0  # last: a change of user undoes it
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
