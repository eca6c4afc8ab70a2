"""`limpet db`: looking after a store file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from limpet.cli.exits import CommandError, Missing, Misuse
from limpet.cli.grammar import Json, StoreFile, command_group, examples
from limpet.cli.printing import cell_text, print_json, print_line

T = TypeVar("T")

app = command_group("Look after a store file: status, migrate, backup, restore, check.")

Backup = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


@app.command(epilog=examples("limpet db status --store limpet.db"))
def status(store: StoreFile = None, json: Json = False) -> None:
    """Show schema, holder, size and counts of a store. An engine may be using it."""
    from limpet.store.sqlite import maintenance  # the store's code is imported when it is needed, not for help

    print_facts(asdict(looked_after(store, maintenance.status)), as_json=json)


@app.command(epilog=examples("limpet db migrate --store limpet.db"))
def migrate(store: StoreFile = None, json: Json = False) -> None:
    """Bring a store to the schema of this version. Stop its engine, and make a backup first."""
    from limpet.store.sqlite import maintenance

    done = looked_after(store, maintenance.migrate)
    if json:
        print_json(asdict(done))
    elif done.before == done.after:
        print_line(f"The store has schema {done.after} already; nothing was changed.")
    else:
        print_line(f"The store was brought from schema {done.before} to {done.after}.")


@app.command(epilog=examples("limpet db backup limpet-monday.db --store limpet.db"))
def backup(file: Backup, store: StoreFile = None, json: Json = False) -> None:
    """Copy a store as of one instant, with its logs. Its engine goes on meanwhile."""
    from limpet.store.sqlite import maintenance

    print_facts(asdict(looked_after(store, lambda path: maintenance.backup(path, file))), as_json=json)


@app.command(epilog=examples("limpet db restore limpet-monday.db --store limpet.db"))
def restore(file: Backup, store: StoreFile = None, json: Json = False) -> None:
    """Put a backup in the place of a store. Stop its engine first; what was there is kept beside it."""
    from limpet.store.sqlite import maintenance

    if not file.exists():
        raise Missing(f"There is no backup at {file}.")
    print_facts(asdict(looked_after(store, lambda path: maintenance.restore(file, path), must_exist=False)), as_json=json)


@app.command(epilog=examples("limpet db check --store limpet.db"))
def check(store: StoreFile = None, json: Json = False) -> None:
    """Test a store: its file, and every rule between its rows. Exit code 1 when something is wrong."""
    from limpet.store.sqlite import maintenance

    problems = looked_after(store, maintenance.check)
    if json:
        print_json({"problems": problems})
    for problem in () if json else problems:
        print_line(problem)
    if problems:
        raise CommandError(
            f"The store has {len(problems)} problems.", "Stop its engine and restore a backup: limpet db restore FILE"
        )
    if not json:
        print_line("The store is sound.")


def looked_after(store: str | None, work: Callable[[Path], T], *, must_exist: bool = True) -> T:
    """Do the work on the named store; what it has against it as an exit code and a sentence."""
    from limpet.cli.plan import store_file
    from limpet.store.api import SchemaError, StoreError

    path = store_file(store)
    if must_exist and not path.exists():
        raise Missing(f"There is no store at {path}.", "Check the path.")
    try:
        return work(path)
    except SchemaError as error:
        raise Misuse(str(error)) from error
    except StoreError as error:
        raise CommandError(str(error)) from error


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """A line for each fact, or all of them as one object."""
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        print_line(f"{name.replace('_', ' '):16} {cell_text(shown)}")
