"""The commands over a store in PostgreSQL: the same as over a file, and no password anywhere."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from running_engine import ANSWER_MAX_S, Command, clean_environment

from limpet.store.postgres.schema import newest
from tests.postgres.server import Server

NEWEST = newest().store
SECRET = "never-to-be-seen"
WITHOUT_ASYNCPG = "import sys; sys.modules['asyncpg'] = None; from limpet.cli.main import main; main()"


@pytest.fixture
def url(own_database: str) -> str:
    """A database of its own, named with a password that its server does not ask for."""
    return own_database.replace("limpet@", f"limpet:{SECRET}@")


def test_a_token_makes_the_store_and_the_store_is_looked_after(url: str, limpet: Command) -> None:
    made = limpet("token", "create", "ci", "--store", url, "--key-file", "key", "--json")
    assert made.returncode == 0, made.stderr
    tokens = json.loads(limpet("token", "list", "--store", url, "--json").stdout)
    assert [each["name"] for each in tokens] == ["ci"]
    found = json.loads(limpet("db", "status", "--store", url, "--json").stdout)
    assert found["schema"] == found["schema_newest"]
    assert (found["tenants"], found["used_by"], found["runs"]) == (1, None, 0)
    assert limpet("db", "check", "--store", url).stdout == "The store is sound.\n"
    assert "already" in limpet("db", "migrate", "--store", url).stdout
    serves = NEWEST[-1].serves
    assert (
        f"releases that know schema {serves} or newer work on this store"
        in limpet("db", "downgrade", "--dry-run", "--store", url).stdout.lower()
    )


def test_an_empty_database_is_no_store_until_it_is_migrated(empty_database: str, limpet: Command) -> None:
    missing = limpet("db", "status", "--store", empty_database)
    assert missing.returncode == 1
    assert "There is no store" in missing.stderr
    assert f"from schema 0 to {len(NEWEST)}" in limpet("db", "migrate", "--store", empty_database).stdout
    assert limpet("db", "check", "--store", empty_database).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["db", "status"], ["db", "check"], ["token", "list"], ["doctor"], ["db", "backup", "x.db"]],
    ids=" ".join,
)
def test_X23_no_command_prints_the_password(url: str, limpet: Command, arguments: list[str]) -> None:
    unreachable = url.replace("127.0.0.1", "127.0.0.9").rpartition("/")[0] + "/none"
    for store in (url, unreachable):
        done = limpet(*arguments, "--store", store)
        assert done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr


def test_a_database_that_is_not_there_is_said(databases: object, limpet: Command) -> None:
    server: Server = databases.server  # type: ignore[attr-defined]
    done = limpet("db", "status", "--store", server.url("nowhere"))
    assert done.returncode == 1
    assert "no such database: create it" in done.stderr


def test_without_asyncpg_a_sentence_says_what_to_install() -> None:
    command = [sys.executable, "-c", WITHOUT_ASYNCPG, "db", "status", "--store", "postgresql://127.0.0.1/none"]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False, timeout=ANSWER_MAX_S)
    assert done.returncode == 1
    assert done.stderr == "limpet: A PostgreSQL store needs asyncpg. Install it: pip install 'limpet[postgres]'.\n"
