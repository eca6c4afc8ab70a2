"""`limpet tenants`: made beside a running engine, apart from each other, named by id or by a name that only one has."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_engine import Command, Running, running, until

from limpet.cli import defaults
from limpet.core.ids import TenantId
from limpet.store.sqlite import SqliteStore

SOME_ID = "01934f2e-0000-4000-8000-000000000001"


def listed(limpet: Command, store: str = "s.db") -> list[dict[str, Any]]:
    answer = limpet("tenants", "list", "--store", store, "--json")
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def names(limpet: Command) -> dict[str, str]:
    return {each["name"]: each["id"] for each in listed(limpet)}


def tenant_seen(server: Running, token: str, tenant: str) -> httpx.Response:
    return httpx.get(f"{server.ready['http']}/api/v1/tenants/{tenant}", headers={"authorization": f"Bearer {token}"})


def test_a_tenant_made_beside_the_running_server_is_served_apart_from_the_others(tmp_path: Path, limpet: Command) -> None:
    with running("server", "--store", "s.db", "--set", "find_tenants_every=100ms", cwd=tmp_path) as server:
        blue = limpet("tenants", "create", "blue", "--store", "s.db").stdout.strip()
        mine = limpet("token", "create", "ours", "--store", "s.db").stdout.strip()
        theirs = limpet("token", "create", "theirs", "--tenant", "blue", "--store", "s.db").stdout.strip()
        until(lambda: tenant_seen(server, theirs, blue).status_code == 200, "the new tenant is served")
        assert tenant_seen(server, theirs, blue).json()["name"] == "blue"
        assert tenant_seen(server, theirs, defaults.TENANT_ID).status_code == 403
        assert tenant_seen(server, mine, blue).status_code == 403
        assert tenant_seen(server, mine, defaults.TENANT_ID).status_code == 200


def test_a_tenant_can_be_made_before_the_first_start(tmp_path: Path, limpet: Command) -> None:
    made = limpet("tenants", "create", "blue", "--store", "s.db")
    assert names(limpet) == {defaults.TENANT_NAME: defaults.TENANT_ID, "blue": made.stdout.strip()}
    token = limpet("token", "create", "first", "--tenant", made.stdout.strip().upper(), "--store", "s.db").stdout.strip()
    with running("server", "--store", "s.db", cwd=tmp_path) as server:
        assert tenant_seen(server, token, made.stdout.strip()).json()["name"] == "blue"


def test_an_id_can_be_chosen_and_asking_twice_makes_one_tenant(limpet: Command) -> None:
    first = limpet("tenants", "create", "blue", "--id", SOME_ID.upper(), "--store", "s.db")
    again = limpet("tenants", "create", "blue", "--id", SOME_ID, "--store", "s.db")
    assert first.stdout.strip() == again.stdout.strip() == SOME_ID
    assert "is new" in first.stderr
    assert "was there already" in again.stderr
    assert list(names(limpet)) == [defaults.TENANT_NAME, "blue"]


def test_json_and_the_table_tell_the_same(limpet: Command) -> None:
    made = json.loads(limpet("tenants", "create", "blue", "--store", "s.db", "--json").stdout)
    assert made == listed(limpet)[1]
    table = limpet("tenants", "list", "--store", "s.db").stdout
    assert made["id"] in table
    assert made["created_at"] in table


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["create", "blue", "--store", "s.db"], 1, SOME_ID),
        (["create", "green", "--id", SOME_ID, "--store", "s.db"], 1, "a tenant blue with the id"),
        (["create", "green", "--id", "7", "--store", "s.db"], 2, "'7' cannot be the id"),
        (["create", "  ", "--store", "s.db"], 2, "cannot be the name"),
        (["create", "a\x1b[1mb", "--store", "s.db"], 2, "'a\\x1b[1mb' cannot be the name"),
        (["create", defaults.TENANT_ID, "--store", "s.db"], 2, "does not look like an id"),
        (["create", "x" * 256, "--store", "s.db"], 2, "1 to 255 bytes"),
        (["create", "green"], 2, "No store is named"),
        (["list", "--store", "absent.db"], 3, "no store at absent.db"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_a_tenant_command_that_fails_says_why_and_makes_nothing(
    limpet: Command, arguments: list[str], code: int, says: str
) -> None:
    limpet("tenants", "create", "blue", "--id", SOME_ID, "--store", "s.db")
    answer = limpet("tenants", *arguments)
    assert answer.returncode == code, answer.stderr
    assert says in answer.stderr
    assert answer.stdout == ""
    assert names(limpet) == {defaults.TENANT_NAME: defaults.TENANT_ID, "blue": SOME_ID}


def test_a_token_says_whose_it_is(limpet: Command) -> None:
    limpet("tenants", "create", "blue", "--id", SOME_ID, "--store", "s.db")
    limpet("token", "create", "by-name", "--tenant", "blue", "--store", "s.db")
    limpet("token", "create", "by-id", "--tenant", SOME_ID, "--store", "s.db")
    limpet("token", "create", "of-nobody-named", "--store", "s.db")
    found = json.loads(limpet("token", "list", "--store", "s.db", "--json").stdout)
    assert {each["name"]: (each["tenant"], each["tenant_id"]) for each in found} == {
        "by-name": ("blue", SOME_ID),
        "by-id": ("blue", SOME_ID),
        "of-nobody-named": (defaults.TENANT_NAME, defaults.TENANT_ID),
    }


def test_two_tenants_of_one_name_are_told_apart_by_id(tmp_path: Path, limpet: Command) -> None:
    limpet("tenants", "create", "blue", "--store", "s.db")

    async def make_a_twin() -> None:
        store = SqliteStore(tmp_path / "s.db")
        await store.open()
        await store.create_tenant(TenantId(SOME_ID), "blue", 0)
        await store.close()

    asyncio.run(make_a_twin())
    refused = limpet("token", "create", "x", "--tenant", "blue", "--store", "s.db")
    assert refused.returncode == 2
    assert SOME_ID in refused.stderr
    assert limpet("token", "create", "x", "--tenant", SOME_ID, "--store", "s.db").returncode == 0
