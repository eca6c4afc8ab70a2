"""`limpet db`: looking after a store file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from limpet.cli.exits import CommandError, Misuse
from limpet.cli.grammar import Json, StoreFile, command_group, examples
from limpet.cli.printing import print_json, print_line

T = TypeVar("T")

app = command_group("Look after a store file: status, migrate, backup, restore, check.")


@app.command(epilog=examples("limpet db status --store limpet.db"))
def status(store: StoreFile = None, json: Json = False) -> None:
    """Show schema, size and counts of a store; it may be in use."""
    from limpet.store.sqlite import maintenance
