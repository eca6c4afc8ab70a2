"""A free port, known before anybody listens on it.

The database of several servers is told where each is reached before its edges listen (law 1 of `compose`), so a port that
the system is to choose must be chosen first, and nobody else may get it meanwhile.
"""

from __future__ import annotations

import socket


class ReservedPort:
    """A port of `host`, held until `free`. Another socket of this machine can listen on it, since this one never does."""

    number: int

    def __init__(self, host: str) -> None:
        """Raises OSError for a host that is not of this machine."""
        family, kind, protocol, _, place = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(place)
        except OSError:
            self._socket.close()
            raise
        self.number = self._socket.getsockname()[1]

    def free(self) -> None:
        """Let go of it; harmless when called twice."""
        self._socket.close()
