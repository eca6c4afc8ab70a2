"""`limpet doctor`: what is wrong with this set-up, and the command that mends it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from limpet.cli.checks import Verdict, check_grpc, check_http, check_token_times, check_variables, look_around
from limpet.cli.exits import CommandError
from limpet.cli.grammar import Json, StoreFile, Token, Url, examples, single_command
from limpet.cli.printing import print_json, print_line
from limpet.cli.store_checks import check_store

MARKS = {Verdict.GOOD: "ok  ", Verdict.WARNING: "warn", Verdict.BAD: "BAD "}

app: typer.Typer = single_command()


@app.command(epilog=examples("limpet doctor", "limpet doctor --url https://engine.example.com --store limpet.db"))
def doctor(
    url: Url = None,
    token: Token = None,
    grpc: Annotated[
        str | None, typer.Option(help="host:port of gRPC; else as a client would find it.", show_default=False)
    ] = None,
    store: StoreFile = None,
    json: Json = False,
) -> None:
    """Find the usual mistakes of a set-up and say how to mend them. Exit code 1 when something cannot work."""
    around, token_finding = look_around(os.environ, url, token, grpc)
    findings = [token_finding, check_token_times(around), check_variables(around), check_grpc(around), *check_http(around)]
    if store:
        findings.append(check_store(store))
    if json:
        print_json([{"check": each.check, "verdict": each.verdict, "text": each.text, "mend": each.mend} for each in findings])
    else:
        for each in findings:
            print_line(f"{MARKS[each.verdict]}  {each.check:12} {each.text}")
            if each.mend:
                print_line(f"{'':20} mend it: {each.mend}")
    failed = [each.check for each in findings if each.verdict is Verdict.BAD]
    if failed:
        raise CommandError(f"These cannot work as they are: {', '.join(failed)}.")
