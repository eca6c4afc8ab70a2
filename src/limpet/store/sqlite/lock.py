"""The lock on a store: a side file held by one process for its life (R22). The kernel lets go of it at any death."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from limpet.store.api import StoreLocked, TransientStoreError

PID_BYTES_MAX = 32


class FileLock:
    """`<store>.lock`, with the owner's pid inside for people to read. The file stays: removing it would race."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.path: Path = store.with_name(store.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises StoreLocked when somebody has it, also another store of this process."""
        if self._descriptor is not None:
            return
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _pid(descriptor)
            os.close(descriptor)
            raise StoreLocked(
                f"The store {self.store} is in use by process {holder}. Stop that process, or choose another store."
            ) from None
        _write_pid(descriptor)
        self._descriptor = descriptor

    def release(self) -> None:
        """Harmless when not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> str | None:
        """The pid of whoever holds the lock, or None. Only for people: it may have changed already."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _pid(descriptor)
        else:
            return None
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TransientStoreError(
                f"The store {self.store} cannot be locked: {self.path} cannot be opened ({error.strerror}). "
                "Its folder must exist, and this user be allowed to write there."
            ) from None


def _pid(descriptor: int) -> str:
    return os.pread(descriptor, PID_BYTES_MAX, 0).decode("ascii", "replace").strip() or "unknown"


def _write_pid(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
