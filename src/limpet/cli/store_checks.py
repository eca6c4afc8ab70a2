"""What `limpet doctor` asks of a store file: is it there, whose is it, can it be used."""

from __future__ import annotations

import os
from pathlib import Path

from limpet.cli.checks import Finding, bad, good, warning
from limpet.cli.exits import Misuse
from limpet.cli.plan import store_path
from limpet.store.api import StoreError
from limpet.store.sqlite.maintenance import status

CHECK = "store"


def check_store(text: str) -> Finding:
    """The first thing that is wrong with a store, or that it is fine."""
    try:
        path = store_path(text)
    except Misuse as error:
        return bad(CHECK, error.sentence, error.hint)
    if path is None:
        return good(CHECK, "A memory store has no file; it is forgotten when the engine ends.")
    return check_place(path) or check_content(path)


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
