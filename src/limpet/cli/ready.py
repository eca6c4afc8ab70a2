"""What `limpet dev` and `limpet server` say once they listen: for people lines to paste, for programs one JSON line."""

from __future__ import annotations

import json
from dataclasses import dataclass

from limpet._version import __version__
from limpet.cli.printing import print_line


@dataclass(frozen=True, slots=True)
class Ready:
    """Where the engine listens. `token` is set in development, where official clients need some token to read."""

    grpc: str
    http: str
    token: str | None
    store: str
    is_encrypted: bool

    def as_json(self) -> str:
        """The one ready line."""
        return json.dumps(
            {"grpc": self.grpc, "http": self.http, "token": self.token, "store": self.store, "version": __version__}
        )


def print_ready(ready: Ready, *, as_json: bool, title: str) -> None:
    """Say it, and flush, since somebody may wait for the line."""
    if as_json:
        print_line(ready.as_json())
        return
    print_line(f"{title} {__version__} is ready.")
    print_line(f"  gRPC   {ready.grpc}")
    print_line(f"  HTTP   {ready.http}")
    print_line(f"  store  {ready.store}")
    for line in paste_lines(ready) if ready.token else ():
        print_line(line)


def paste_lines(ready: Ready) -> list[str]:
    """Environment lines for each client. One block serves all official ones: a client ignores what is another's."""
    return [
        "",
        "Limpet's own SDK and commands find it by themselves on the default ports; on others they need",
        f"  export LIMPET_HOST_PORT={ready.grpc}",
        f"  export LIMPET_SERVER_URL={ready.http}",
        "",
        "Official clients need (the last line is for TypeScript, the one before it for Python and Go)",
        "  export HATCHET_CLIENT_TLS_STRATEGY=none",
        f"  export HATCHET_CLIENT_TOKEN={ready.token}",
        f"  export HATCHET_CLIENT_HOST_PORT={ready.grpc}",
        f"  export HATCHET_CLIENT_SERVER_URL={ready.http}",
        f"  export HATCHET_CLIENT_API_URL={ready.http}",
        "",
        "Stop with Ctrl-C.",
    ]
