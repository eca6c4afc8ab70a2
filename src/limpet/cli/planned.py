"""What people hand to a run on the command line, now or for later: its input, its metadata, its priority, its time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from limpet.cli.exits import Misuse
from limpet.cli.given import read_input, read_metadata
from limpet.cli.printing import JsonObject, print_done

Given = Annotated[str, typer.Option("--input", help="A JSON object, @FILE, or - for standard input.")]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", help="key=value to keep with the run; may be repeated.", show_default=False)
]
OfWorkflow = Annotated[str | None, typer.Option("--workflow", help="Only those of this workflow.", show_default=False)]
RunPriority = Annotated[int | None, typer.Option("--priority", min=1, max=3, help="1 low, 2, 3 high.", show_default=False)]


def read_time(text: str) -> datetime:
    """An instant: ISO 8601 with its zone, or without one in the zone of this machine."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Misuse(
            f"'{text}' is no time.", "Write it as 2027-01-01T06:00:00Z, or without Z in the zone of this machine."
        ) from error


def start_body(data: str, metadata: list[str] | None, priority: int | None) -> dict[str, Any]:
    """The part of a request that says what a run gets."""
    body: dict[str, Any] = {"input": read_input(data), "additionalMetadata": read_metadata(metadata)}
    return body if priority is None else {**body, "priority": priority}


def print_started(started: JsonObject, *, json: bool) -> None:
    """The run of something planned, which was started now."""
    run = started["workflowRunId"]
    print_done(started, f"Started run {run}. Follow it: limpet runs get {run}", json=json)
