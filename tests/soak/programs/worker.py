"""A worker of the soak: `python -m tests.soak.programs.worker KIND NAME`."""

from __future__ import annotations

import sys

from tests.soak.programs.work import build, client_of


def main() -> None:
    """Run until told to stop, or killed."""
    kind, name = sys.argv[1:3]
    client = client_of(kind)
    client.worker(name, slots=40, workflows=list(build(kind, client).values())).start()


if __name__ == "__main__":
    main()
