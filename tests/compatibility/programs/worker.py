"""A worker of the official client, in a process of its own: `python -m tests.compatibility.programs.worker '{"name": …}'`."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator

from hatchet_sdk import Hatchet

from tests.compatibility.programs import journal
from tests.compatibility.programs.conditional import build_conditional
from tests.compatibility.programs.eventful import build_eventful
from tests.compatibility.programs.keyed import build_keyed
from tests.compatibility.programs.limited import build_limited
from tests.compatibility.programs.metered import build_metered
from tests.compatibility.programs.observed import build_observed
from tests.compatibility.programs.workflows import build

BUILDERS = {
    "workflows": build,
    "limited": build_limited,
    "keyed": build_keyed,
    "conditional": build_conditional,
    "eventful": build_eventful,
    "metered": build_metered,
    "observed": build_observed,
}


async def lifespan() -> AsyncGenerator[dict[str, str], None]:
    """Entered before the first task, left after the last."""
    journal.write("lifespan entered")
    yield {"pool": "open"}
    journal.write("lifespan left")


def main() -> None:
    """Run until told to stop."""
    options = json.loads(sys.argv[1])
    if options.get("traced"):
        from hatchet_sdk.opentelemetry.instrumentor import HatchetInstrumentor  # half a second, for one test

        HatchetInstrumentor(schedule_delay_millis=100).instrument()
    hatchet = Hatchet()
    workflows = BUILDERS[options.get("program", "workflows")](hatchet)
    chosen = [workflows[name] for name in options["only"]] if "only" in options else list(workflows.values())
    worker = hatchet.worker(
        options["name"], slots=options.get("slots", 10), labels=options.get("labels", {}), workflows=chosen, lifespan=lifespan
    )
    worker.start()


if __name__ == "__main__":
    main()
