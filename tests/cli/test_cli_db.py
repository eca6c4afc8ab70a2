"""`limpet db`: a store can be looked at beside its engine, saved, damaged, and brought back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from running_engine import Command, running


@pytest.fixture
def store(tmp_path: Path, limpet: Command) -> Path:
    """A store with one token in it."""
    assert limpet("token", "create", "one", "--store", "s.db").returncode == 0
    return tmp_path / "s.db"


def names(limpet: Command, store: str) -> list[str]:
    return sorted(each["name"] for each in json.loads(limpet("token", "list", "--store", store, "--json").stdout))


def test_status_tells_schema_and_counts(store: Path, limpet: Command) -> None:
    found = json.loads(limpet("db", "status", "--store", "s.db", "--json").stdout)
    assert found["schema"] == found["schema_newest"]
    assert found["used_by"] is None
    assert found["tenants"] == 1
    assert "schema newest" in limpet("db", "status", "--store", "s.db").stdout


def test_status_check_and_backup_work_beside_an_engine_and_migrate_does_not(tmp_path: Path, limpet: Command) -> None:
    with running("dev", "--store", "s.db", cwd=tmp_path) as engine:
        assert json.loads(limpet("db", "status", "--store", "s.db", "--json").stdout)["used_by"] == str(engine.process.pid)
        assert limpet("db", "check", "--store", "s.db").stdout == "The store is sound.\n"
        assert limpet("db", "backup", "copy.db", "--store", "s.db").returncode == 0
        refused = limpet("db", "migrate", "--store", "s.db")
    assert refused.returncode == 1
    assert str(engine.process.pid) in refused.stderr
    assert limpet("db", "check", "--store", "copy.db").returncode == 0


def test_a_backup_brings_back_what_was_there(store: Path, limpet: Command) -> None:
    assert limpet("db", "backup", "copy.db", "--store", "s.db").returncode == 0
    limpet("token", "create", "two", "--store", "s.db")
    assert names(limpet, "s.db") == ["one", "two"]
    restored = limpet("db", "restore", "copy.db", "--store", "s.db", "--json")
    assert restored.returncode == 0, restored.stderr
    assert names(limpet, "s.db") == ["one"]
    assert names(limpet, json.loads(restored.stdout)["replaced"]) == ["one", "two"]


def test_a_backup_is_not_overwritten(store: Path, limpet: Command) -> None:
    limpet("db", "backup", "copy.db", "--store", "s.db")
    again = limpet("db", "backup", "copy.db", "--store", "s.db")
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_migrating_a_store_of_this_version_changes_nothing(store: Path, limpet: Command) -> None:
    assert "nothing was changed" in limpet("db", "migrate", "--store", "s.db").stdout


def test_check_finds_a_broken_rule_and_says_so_with_its_exit_code(store: Path, limpet: Command) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("DELETE FROM ownership")  # now no commit could prove that it may write
    found = limpet("db", "check", "--store", "s.db", "--json")
    assert found.returncode == 1
    assert json.loads(found.stdout)["problems"]
    assert "restore" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["db", "status", "--store", "absent.db"], 3, "no store at absent.db"),
        (["db", "restore", "absent.db", "--store", "s.db"], 3, "no backup at absent.db"),
        (["db", "status"], 2, "No store is named"),
        (["db", "check", "--store", "memory"], 2, "No store is named"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_store_command_that_fails_says_why(limpet: Command, arguments: list[str], code: int, says: str) -> None:
    answer = limpet(*arguments)
    assert answer.returncode == code, answer.stderr
    assert says in answer.stderr


def test_a_foreign_file_is_refused(tmp_path: Path, limpet: Command) -> None:
    (tmp_path / "foreign.db").write_text("no database at all, but long enough to be taken for one " * 20)
    for verb in ("status", "check", "migrate"):
        answer = limpet("db", verb, "--store", "foreign.db")
        assert answer.returncode in (1, 2), answer.stderr
        assert "Traceback" not in answer.stderr
