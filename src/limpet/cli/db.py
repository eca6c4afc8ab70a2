"""`limpet db`: looking after a store, a file or a database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from limpet.cli.exits import CommandError, Missing, Misuse
from limpet.cli.grammar import Json, StoreFile, command_group, examples
from limpet.cli.printing import cell_text, print_json, print_line

app: typer.Typer = command_group("Look after a store: status, migrate, check; backup and restore of a file.")

Backup = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
OnFile = Callable[[ModuleType, Path], Any]
OnDatabase = Callable[[ModuleType, Any], Awaitable[Any]]

USE_PG_DUMP = "Use PostgreSQL's own tools: pg_dump and pg_restore, or a base backup. docs/operating/postgresql.md tells how."


@app.command(epilog=examples("limpet db status --store limpet.db", "limpet db status --store postgresql://limpet@db/limpet"))
def status(store: StoreFile = None, json: Json = False) -> None:
    """Show schema, holder, size and counts, also beside an engine."""
    found = looked_after(store, lambda files, path: files.status(path), lambda databases, at: databases.status(at))
    print_facts(asdict(found), as_json=json)


@app.command(epilog=examples("limpet db migrate --store limpet.db"))
def migrate(store: StoreFile = None, json: Json = False) -> None:
    """Bring a store to the schema of this version; make a backup first.

    A file must not be in use. The servers of a database go on, and are replaced by the new release one by one afterwards.
    """
    done = looked_after(store, lambda files, path: files.migrate(path), lambda databases, at: databases.migrate(at))
    if json:
        print_json(asdict(done))
    elif done.before == done.after:
        print_line(f"The store has schema {done.after} already; nothing was changed.")
    else:
        print_line(f"The store was brought from schema {done.before} to {done.after}.")


@app.command(epilog=examples("limpet db downgrade --dry-run --store limpet.db"))
def downgrade(
    store: StoreFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the former release needs.")] = False,
    json: Json = False,
) -> None:
    """Say whether an older release can work on this store as it is. Nothing is ever changed: migrations are not undone."""
    if not dry_run:
        raise Misuse("A migration is never undone in place.", "Ask what an older release needs: limpet db downgrade --dry-run")
    schema, oldest = looked_after(store, _oldest_of_file, lambda databases, at: databases.oldest_release(at))
    if json:
        print_json({"schema": schema, "oldest_schema_that_serves": oldest})
    elif oldest < schema:
        print_line(f"Releases that know schema {oldest} or newer work on this store as it is: start the older release.")
    else:
        print_line(f"Only releases that know schema {schema} work on this store. An older one needs a backup from its time.")


@app.command(epilog=examples("limpet db backup limpet-monday.db --store limpet.db"))
def backup(file: Backup, store: StoreFile = None, json: Json = False) -> None:
    """Copy a store file and its logs as of one instant."""
    print_facts(asdict(looked_after(store, lambda files, path: files.backup(path, file), instead=USE_PG_DUMP)), as_json=json)


@app.command(epilog=examples("limpet db restore limpet-monday.db --store limpet.db"))
def restore(file: Backup, store: StoreFile = None, json: Json = False) -> None:
    """Put a backup in the place of a store file. Stop its engine first; what was there is kept beside it."""
    if not file.exists():
        raise Missing(f"There is no backup at {file}.")
    done = looked_after(store, lambda files, path: files.restore(file, path), instead=USE_PG_DUMP, must_exist=False)
    print_facts(asdict(done), as_json=json)


@app.command(epilog=examples("limpet db check --store limpet.db"))
def check(store: StoreFile = None, json: Json = False) -> None:
    """Test a store: every rule between its rows. Exit code 1 when one is broken."""
    problems = looked_after(store, lambda files, path: files.check(path), lambda databases, at: databases.check(at))
    if json:
        print_json({"problems": problems})
    for problem in () if json else problems:
        print_line(problem)
    if problems:
        raise CommandError(
            f"The store has {len(problems)} problems.",
            "Stop its engines and restore a backup: docs/operating/backup-and-restore.md",
        )
    if not json:
        print_line("The store is sound.")


def looked_after(
    store: str | None, on_file: OnFile, on_database: OnDatabase | None = None, *, instead: str = "", must_exist: bool = True
) -> Any:
    """Do the work on the named store; what it has against it as an exit code and a sentence.

    on_database: None for what only files can do; `instead` then says what to do with a database
    """
    from limpet.cli.plan import lasting_store, store_file
    from limpet.store.api import SchemaError, StoreError

    place = lasting_store(store) if on_database is not None else store_file(store, instead=instead)
    try:
        if isinstance(place, Path):
            return _with_file(place, on_file, must_exist=must_exist)
        from limpet.cli.databases import asked  # asyncpg is an extra

        assert on_database is not None, "files only"
        work = on_database
        return asked(lambda maintenance: work(maintenance, place))
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


def _with_file(path: Path, work: OnFile, *, must_exist: bool) -> Any:
    from limpet.store.sqlite import maintenance  # the store's code is imported when it is needed, not for help

    if must_exist and not path.exists():
        raise Missing(f"There is no store at {path}.", "Check the path.")
    return work(maintenance, path)


def _oldest_of_file(files: ModuleType, path: Path) -> tuple[int, int]:
    """A store file is only ever used by a release that knows its schema."""
    schema = files.status(path).schema
    return schema, schema
