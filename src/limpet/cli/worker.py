"""`limpet worker MODULE[:NAME]`: run what a module defines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limpet.cli.grammar import examples, single_command

app: typer.Typer = single_command()


@app.command(
    epilog=examples("limpet worker my_app.tasks", "limpet worker my_app.tasks:gpu_worker", "limpet worker my_module --reload")
)
def worker(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE[:NAME]",
            help="A module, and in it a worker or a function that makes or runs one; all its workers without a name.",
        ),
    ],
    reload: Annotated[bool, typer.Option("--reload", help="Start again whenever a Python file below --watch changes.")] = False,
    watch: Annotated[
        list[Path] | None, typer.Option(help="What --reload watches; else this directory.", show_default=False)
    ] = None,
) -> None:
    """Run the workers that a Python module defines, until a signal; running tasks are finished first."""
    from limpet.cli.worker_processes import run_reloading, run_target  # the module's imports are slow enough

    if reload:
        run_reloading(target, watch or [Path.cwd()])
    else:
        run_target(target)
