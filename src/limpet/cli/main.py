"""`limpet`: the list of commands. Only the command that is called is imported, so that help comes at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from limpet._version import __version__
from limpet.cli.configuration import read_defaults, spread
from limpet.cli.exits import CommandError, ExitCode
from limpet.cli.grammar import CONTEXT, examples
from limpet.cli.printing import print_line, print_note

# name: (module, the sentence that `limpet --help` shows). The module has `app`.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "demo": ("limpet.cli.demo.command", "Show the main job with real processes; check each promise."),
        "dev": ("limpet.cli.dev", "Start an engine for development on this machine."),
        "server": ("limpet.cli.server", "Start an engine for production."),
        "worker": ("limpet.cli.worker", "Run the workers that a Python module defines."),
        "runs": ("limpet.cli.runs", "List, read, explain, cancel and replay runs."),
        "workers": ("limpet.cli.workers", "List, pause and unpause workers; read their labels."),
        "workflows": ("limpet.cli.workflows", "List workflows, trigger one, pause one."),
        "crons": ("limpet.cli.crons", "List, create, pause, trigger and delete crons."),
        "schedules": ("limpet.cli.schedules", "List, create, trigger and delete scheduled runs."),
        "rate-limits": ("limpet.cli.rate_limits", "List, set and delete rate limits."),
        "events": ("limpet.cli.events", "Push events; see which runs they started."),
        "filters": ("limpet.cli.filters", "List, create and delete filters of events."),
        "webhooks": ("limpet.cli.webhooks", "Let other services post events."),
        "tenants": ("limpet.cli.tenants", "Create and list tenants: whose data it is."),
        "token": ("limpet.cli.token", "Create, list and revoke tokens of clients."),
        "cluster": ("limpet.cli.cluster", "Look at the servers that share a database."),
        "db": ("limpet.cli.db", "Look after a store file."),
        "doctor": ("limpet.cli.doctor", "Find the usual mistakes and say how to mend them."),
    }
)


def load(name: str) -> Any:
    """The real command behind a name; the parser's own type is private to its library."""
    command = typer.main.get_command(import_module(COMMANDS[name][0]).app)
    command.name = name
    return command


class LazyCommands(TyperGroup):
    """Knows every command by name and sentence; loads one when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A loaded command, or a stand-in that is enough to be listed."""
        if cmd_name in self.commands or cmd_name not in COMMANDS:
            return self.commands.get(cmd_name)
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Somebody calls a command, or completes a word behind its name: now the real one is needed. `cron` means `crons`."""
        name = args[0] if args else ""
        if name not in COMMANDS and f"{name}s" in COMMANDS:
            name = f"{name}s"
            args = [name, *args[1:]]
        if name in COMMANDS and name not in self.commands:
            self.add_command(load(name), name)
            ctx.default_map = {name: spread(read_defaults(ctx.params.get("config")), name, self.commands[name])}
        return super().resolve_command(ctx, args)


app: typer.Typer = typer.Typer(
    name="limpet",
    cls=LazyCommands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
    help="Limpet: a durable task engine. Every task reaches the right worker, and nothing is lost.",
    epilog=examples("limpet dev", "limpet worker my_module --reload", "limpet runs list"),
)


def _print_version(asked: bool) -> None:
    if asked:
        print_line(f"limpet {__version__}")
        raise typer.Exit


@app.callback()
def limpet(
    config: Annotated[
        Path | None,
        typer.Option("--config", envvar="LIMPET_CONFIG", help="TOML file with defaults; limpet.toml here if there is one."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options before the command; `LazyCommands` reads the file that `--config` names."""


def main() -> None:
    """The entry point: run, and turn what went wrong into a sentence and an exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC would write lines of its own beside ours; errors come as exceptions
    try:
        app()
    except CommandError as error:
        print_note(f"limpet: {error.sentence}")
        if error.hint:
            print_note(error.hint)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(128 + 2)  # as shells count a process that SIGINT ended
    except BrokenPipeError:
        sys.stderr.close()  # `limpet runs list | head`: the reader has gone, and that is fine
        sys.exit(ExitCode.DONE)


if __name__ == "__main__":
    main()
