"""`limpet` in a process whose disk fails on command: after SIGUSR1 every fsync ends with an input/output error.

A seccomp filter on all threads does it, in the kernel, so SQLite meets exactly what a dying disk shows it.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import signal
import struct
from types import FrameType

from limpet.cli.main import main

# Numbers of fsync, fdatasync and seccomp by machine.
CALLS = {"x86_64": (74, 75, 317), "aarch64": (82, 83, 277)}
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1
LOAD_CALL_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # operations of the kernel's filter machine
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EIO


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def break_disk(_: int, __: FrameType | None) -> None:
    """From now on, for this process and for good."""
    fsync, fdatasync, seccomp = CALLS[platform.machine()]
    steps = [
        (LOAD_CALL_NUMBER, 0, 0, 0),
        (JUMP_IF_EQUAL, 2, 0, fsync),
        (JUMP_IF_EQUAL, 1, 0, fdatasync),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, FAIL),
    ]
    kernel = ctypes.CDLL(None, use_errno=True)
    program = Program(len(steps), b"".join(struct.pack("=HBBI", *step) for step in steps))
    assert kernel.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    answer = kernel.syscall(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, ctypes.byref(program))
    assert answer == 0, f"seccomp answers {answer}, errno {ctypes.get_errno()}"


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, break_disk)
    main()
