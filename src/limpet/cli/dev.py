"""`limpet dev`: an engine on this machine, for development."""

from __future__ import annotations

from typing import Annotated

import typer

from limpet.cli import defaults
from limpet.cli.grammar import Overrides, StoreFile, examples, single_command
from limpet.cli.options import LogJson, LogLevel

app: typer.Typer = single_command()


@app.command(epilog=examples("limpet dev", "limpet dev --store dev.db", "limpet dev --grpc-port 0 --http-port 0 --json"))
def dev(
    store: StoreFile = None,
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65_535, envvar="LIMPET_GRPC_PORT", help="0: any free port.")
    ] = defaults.GRPC_PORT,
    http_port: Annotated[
        int, typer.Option(min=0, max=65_535, envvar="LIMPET_HTTP_PORT", help="0: any free port.")
    ] = defaults.HTTP_PORT,
    settings: Overrides = None,
    log_level: LogLevel = "warning",
    log_json: LogJson = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line when ready: grpc, http, token.")] = False,
) -> None:
    """Start an engine for development: this machine only, no authentication, in memory unless --store names a file."""
    from limpet.cli.engine_command import run_engine  # the engine is imported when it is started, not for help
    from limpet.cli.overrides import overridden
    from limpet.cli.plan import Plan, store_place
    from limpet.engine.settings import EngineSettings

    plan = Plan(
        store=store_place(store),
        grpc_port=grpc_port,
        http_port=http_port,
        is_dev=True,
        settings=overridden(EngineSettings(), settings or ()),
    )
    run_engine(plan, title="limpet dev", as_json=json, log_level=log_level, log_json=log_json)
