"""`limpet demo`: play the acts, show them live, end with what ran where and which promises held."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from limpet.cli.exits import ExitCode
from limpet.cli.grammar import examples, single_command
from limpet.cli.printing import print_json, print_line, print_table

if TYPE_CHECKING:
    from limpet.cli.demo.acts import Promise, Report

LINE_LENGTH_MAX = 110  # characters of a promise with what was seen; wider than most terminals is hard to read

app: typer.Typer = single_command()


@app.command(epilog=examples("limpet demo", "limpet demo --json"))
def demo(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end, nothing before.")] = False,
) -> None:
    """Show the main job with real processes: an engine, four workers, sticky runs, priorities, labels, and a crash."""
    from limpet.cli.demo.acts import Acts  # the SDK is imported when the demo plays, not for help
    from limpet.cli.demo.stage import Stage

    began_at = time.monotonic()

    def say(text: str, sign: str = "  ") -> None:
        if not json:
            print_line(f"{time.monotonic() - began_at:6.1f} s  {sign} {text}")

    async def play(stage: Stage) -> Report:
        acts = Acts(stage, say)
        shown = 0
        async for title in acts.play():
            shown = tell_promises(acts.report, shown, say)
            say(title, "▸")
        tell_promises(acts.report, shown, say)
        return acts.report

    with Stage() as stage:
        say("An engine starts on a fresh file", "▸")
        stage.start_engine()
        stage.start_workers()
        report = asyncio.run(play(stage))
    if json:
        print_json({"kept": report.kept, **dataclasses.asdict(report)})
    else:
        show(report, time.monotonic() - began_at)
    sys.exit(ExitCode.DONE if report.kept else ExitCode.FAILED)


def tell_promises(report: Report, shown: int, say: Callable[[str, str], None]) -> int:
    """A line for each promise that was checked since the last act; returns how many have been told."""
    for promise in report.promises[shown:]:
        say(f"{promise.text}: {promise.seen}", "✓" if promise.kept else "✗")
    return len(report.promises)


def show(report: Report, seconds: float) -> None:
    """What ran where, and which promises held."""
    print_line()
    rows = [(one.task, one.priority, one.wanted, one.ran_on, one.why) for one in report.sightings]
    print_table(["task", "priority", "wanted", "ran on", "why"], rows, empty="Nothing ran.")
    print_line()
    for promise in report.promises:
        print_line(verdict_line(promise))
    broken = sum(not promise.kept for promise in report.promises)
    verdict = "all promises kept" if not broken else f"{broken} of {len(report.promises)} promises BROKEN"
    print_line(f"\n{verdict}, {seconds:.1f} s")


def verdict_line(promise: Promise) -> str:
    """Kept or broken, and what was seen; on a line of its own where one would be too long."""
    verdict = f"  {'✓ kept  ' if promise.kept else '✗ BROKEN'}  {promise.text}"
    gap = " " if len(verdict) + len(promise.seen) < LINE_LENGTH_MAX else f"\n{' ' * 12}"
    return f"{verdict}{gap}({promise.seen})"
