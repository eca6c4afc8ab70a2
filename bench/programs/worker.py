"""A worker process: `python -m bench.programs.worker '{"sdk": "limpet", "slots": 500}'`. Runs until told to stop."""

from __future__ import annotations

import json
import sys

from bench.programs.tasks import declare


def main() -> None:
    """Serve the no-op task."""
    options = json.loads(sys.argv[1])
    client, noop = declare(options["sdk"])
    client.worker("bench", slots=options["slots"], workflows=[noop]).start()


if __name__ == "__main__":
    main()
