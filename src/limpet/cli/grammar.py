"""What all commands share: how a group is made, and the options that mean the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

CONTEXT = {"help_option_names": ["-h", "--help"]}


def command_group(help_text: str) -> typer.Typer:
    """A command, or a group of verbs, that looks like all others."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )


def single_command() -> typer.Typer:
    """A command without verbs."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=CONTEXT)


def examples(*lines: str) -> str:
    """The epilog of a command: examples that the formatter leaves as they are."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar=["LIMPET_SERVER_URL", "LIMPET_CLIENT_SERVER_URL", "HATCHET_CLIENT_SERVER_URL"],
        help="HTTP address of the engine; else what the token says, else http://127.0.0.1:8888.",
        show_default=False,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar=["LIMPET_TOKEN", "LIMPET_CLIENT_TOKEN", "HATCHET_CLIENT_TOKEN"],
        help="API token; a development engine needs none.",
        show_default=False,
    ),
]
StoreFile = Annotated[
    str | None,
    typer.Option(
        "--store", envvar="LIMPET_STORE", help="Store: postgresql://…, sqlite:///FILE or just FILE.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        envvar="LIMPET_SET",
        help="Change a limit, for example worker_lost_after=10s; may be repeated. Names: docs/limits.md.",
        show_default=False,
    ),
]
