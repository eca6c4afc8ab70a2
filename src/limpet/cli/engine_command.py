"""What `dev` and `server` do alike: run an engine process to its end, and tell its failures as sentences."""

from __future__ import annotations

import asyncio
import errno

from limpet.cli.compose import EngineProcess
from limpet.cli.exits import CommandError, Misuse
from limpet.cli.lifetime import live
from limpet.cli.logs import set_up_logging
from limpet.cli.plan import Plan, address
from limpet.cli.ready import Ready, print_ready
from limpet.edges.signing import SigningKeyError
from limpet.engine.tuning import tune_gc
from limpet.store.api import FatalStoreError, FenceMismatch, SchemaError, StoreError, StoreLocked


def run_engine(plan: Plan, *, title: str, as_json: bool, log_level: str, log_json: bool) -> None:
    """Until a signal. Raises CommandError for what ended it otherwise."""
    set_up_logging(level=log_level, as_json=log_json)

    def announce(ready: Ready) -> None:
        print_ready(ready, as_json=as_json, title=title)
        tune_gc()

    async def process() -> None:
        await live(EngineProcess(plan), announce)

    try:
        asyncio.run(process())
    except (StoreError, SigningKeyError, OSError) as error:
        raise as_sentence(error, plan) from error


def as_sentence(error: Exception, plan: Plan) -> CommandError:
    """Why the process ended, and the next step."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        ports = f"{address(plan.host, plan.grpc_port)} or {address(plan.host, plan.http_port)}"
        return CommandError(
            f"Something listens on {ports} already, perhaps another engine.",
            "Stop it, or choose free ports: --grpc-port 0 --http-port 0. `limpet doctor` says what answers there.",
        )
    if isinstance(error, OSError):
        return CommandError(f"The engine could not start: {error}.", "Check paths, rights and addresses.")
    if isinstance(error, StoreLocked):
        return CommandError(str(error), "Stop the process that holds it, or name another file with --store.")
    if isinstance(error, SchemaError | SigningKeyError):
        return Misuse(str(error))
    if isinstance(error, FatalStoreError | FenceMismatch):
        return CommandError(
            f"The engine ended because its store cannot be trusted any more: {error}",
            f"What was acknowledged is in the store. Start it again; if it ends again: limpet db check --store {plan.store}",
        )
    return CommandError(f"The engine ended because of its store: {error}")
