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
    """Environment lines for each client."""
    shared = [f"export HATCHET_CLIENT_TOKEN={ready.token}", "export HATCHET_CLIENT_TLS_STRATEGY=none"]
    return [
        "",
        "Limpet's own SDK on the default ports needs nothing; else:",
        f"  export LIMPET_HOST_PORT={ready.grpc}",
        f"  export LIMPET_SERVER_URL={ready.http}",
        "",
        "Official clients, Python:",
        *(
            f"  {line}"
            for line in (
                *shared,
                f"export HATCHET_CLIENT_HOST_PORT={ready.grpc}",
                f"export HATCHET_CLIENT_SERVER_URL={ready.http}",
            )
        ),
        "",
        "TypeScript:",
        *(
            f"  {line}"
            for line in (*shared, f"export HATCHET_CLIENT_HOST_PORT={ready.grpc}", f"export HATCHET_CLIENT_API_URL={ready.http}")
        ),
        "",
        "Go:",
        *(
            f"  {line}"
            for line in (
                *shared,
                f"export HATCHET_CLIENT_HOST_PORT={ready.grpc}",
                f"export HATCHET_CLIENT_SERVER_URL={ready.http}",
            )
        ),
        "",
        "Stop with Ctrl-C.",
    ]
