"""What `limpet doctor` asks of a store file: is it there, whose is it, can it be used."""

from __future__ import annotations

import os
from pathlib import Path

from limpet.cli.checks import Finding, bad, good, warning
from limpet.cli.exits import Misuse
from limpet.cli.plan import store_place
from limpet.store.address import Address
from limpet.store.api import StoreError
from limpet.store.sqlite.maintenance import status

CHECK = "store"


def check_store(text: str) -> Finding:
    """The first thing that is wrong with a store, or that it is fine."""
    try:
        place = store_place(text)
    except Misuse as error:
        return bad(CHECK, error.sentence, error.hint)
    if place is None:
        return good(CHECK, "A memory store has no file; it is forgotten when the engine ends.")
    return check_place(place) or check_content(place) if isinstance(place, Path) else check_database(place)


def check_place(path: Path) -> Finding | None:
    """The folder and the rights to it."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return bad(CHECK, f"The folder {folder} does not exist.", f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        return bad(CHECK, f"This user may not write in {folder}.", f"sudo chown $USER {folder}")
    if not path.exists():
        return good(CHECK, f"There is no store at {path} yet; an engine makes it.")
    if not os.access(path, os.W_OK):
        return bad(CHECK, f"This user may not write {path}.", f"sudo chown $USER {path}*")
    return None


def check_content(path: Path) -> Finding:
    """Whether it is a store of a schema that this version knows, and whether a process holds it."""
    try:
        found = status(path)
    except StoreError as error:
        return bad(CHECK, str(error), f"limpet db check --store {path}")
    if found.schema < found.schema_newest:
        return warning(
            CHECK, f"The store {path} has schema {found.schema} of {found.schema_newest}.", f"limpet db migrate --store {path}"
        )
    if found.used_by is not None:
        return warning(
            CHECK, f"Process {found.used_by} holds {path}; a second engine on it does not start.", f"ps -p {found.used_by}"
        )
    return good(CHECK, f"The store {path} is free and has the schema of this version.")


def check_database(at: Address) -> Finding:
    """Whether the database answers, has a schema that this version works with, and whose it is."""
    from limpet.cli.databases import asked  # asyncpg is an extra

    try:
        found = asked(lambda maintenance: maintenance.status(at))
    except StoreError as error:
        return bad(CHECK, str(error), f"limpet db status --store '{at}'")
    if found.schema < found.schema_newest:
        return warning(
            CHECK, f"The store {at} has schema {found.schema} of {found.schema_newest}.", f"limpet db migrate --store '{at}'"
        )
    whose = f"owned by {found.used_by}; a second server stands by" if found.used_by else "owned by no server"
    return good(CHECK, f"The store {at} has the schema of this version and is {whose}.")
