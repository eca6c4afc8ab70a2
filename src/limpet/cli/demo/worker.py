"""A worker process of the demo: `python -m limpet.cli.demo.worker '{"name": "north", "slots": 20, "labels": {…}}'`."""

from __future__ import annotations

import json
import sys

from limpet import Limpet
from limpet.cli.demo.workflows import Demo


def main() -> None:
    """Run until told to stop."""
    options = json.loads(sys.argv[1])
    limpet = Limpet()
    demo = Demo(limpet)
    workflows = demo.lanes if options.get("lanes") else demo.general
    limpet.worker(options["name"], slots=options["slots"], labels=options.get("labels"), workflows=workflows).start()


if __name__ == "__main__":
    main()
