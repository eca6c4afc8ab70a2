"""`limpet server` and `limpet token` as processes: nobody comes in without a token, a revoked one opens nothing."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from running_engine import Command, Running, running, until

from limpet.cli import defaults

TENANT_PATH = f"/api/v1/tenants/{defaults.TENANT_ID}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running("server", "--store", "server.db", cwd=tmp_path) as found:
        yield found


def asked_for_tenant(server: Running, token: str | None) -> int:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.get(server.ready["http"] + TENANT_PATH, headers=headers).status_code


def test_a_server_prints_no_token_and_lets_nobody_in_without_one(server: Running) -> None:
    assert server.ready["token"] is None
    assert asked_for_tenant(server, None) == 403
    assert asked_for_tenant(server, "ey.not.one") == 403


def test_X2_a_token_made_beside_the_running_server_opens_it_until_it_is_revoked(server: Running, limpet: Command) -> None:
    made = limpet("token", "create", "ci", "--store", "server.db", "--expires", "1d", "--json")
    assert made.returncode == 0, made.stderr
    token = json.loads(made.stdout)
    until(lambda: asked_for_tenant(server, token["token"]) == 200, "the new token opens the server")

    listed = json.loads(limpet("runs", "list", "--json", "--url", server.ready["http"], "--token", token["token"]).stdout)
    assert listed["rows"] == []

    revoked = limpet("token", "revoke", "ci", "--store", "server.db", "--json")
    assert json.loads(revoked.stdout)["state"] == "revoked"
    until(lambda: asked_for_tenant(server, token["token"]) == 403, "the revoked token opens nothing")


def test_a_refused_client_hears_how_to_get_in(server: Running, limpet: Command) -> None:
    answer = limpet("runs", "list", "--url", server.ready["http"])
    assert answer.returncode == 1
    assert "limpet token create" in answer.stderr


def test_a_token_can_be_made_before_the_first_start(tmp_path: Path, limpet: Command) -> None:
    token = limpet("token", "create", "first", "--store", "server.db").stdout.strip()
    assert stat.S_IMODE((tmp_path / "server.db.signing-key").stat().st_mode) == 0o600
    with running("server", "--store", "server.db", cwd=tmp_path) as server:
        assert asked_for_tenant(server, token) == 200


def test_token_list_shows_names_and_states_but_no_token(tmp_path: Path, limpet: Command) -> None:
    token = limpet("token", "create", "one", "--store", "s.db").stdout.strip()
    limpet("token", "create", "two", "--store", "s.db")
    limpet("token", "revoke", "two", "--store", "s.db")
    listed = limpet("token", "list", "--store", "s.db", "--json")
    assert {each["name"]: each["state"] for each in json.loads(listed.stdout)} == {"one": "valid", "two": "revoked"}
    assert token not in listed.stdout
    assert token.encode() not in (tmp_path / "s.db").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["token", "list", "--store", "absent.db"], 3, "no store at absent.db"),
        (["token", "list"], 2, "No store is named"),
        (["token", "create", "x", "--store", "s.db", "--expires", "1ms"], 2, "expired at once"),
        (["token", "create", "x", "--store", "s.db", "--tenant", "nobody"], 3, "no tenant nobody"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_token_command_that_fails_says_why(limpet: Command, arguments: list[str], code: int, says: str) -> None:
    answer = limpet(*arguments)
    assert answer.returncode == code, answer.stderr
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_two_valid_tokens_of_one_name_are_told_apart_by_id(limpet: Command) -> None:
    ids = [json.loads(limpet("token", "create", "twin", "--store", "s.db", "--json").stdout)["id"] for _ in range(2)]
    refused = limpet("token", "revoke", "twin", "--store", "s.db")
    assert refused.returncode == 2
    assert ids[0] in refused.stderr
    assert limpet("token", "revoke", ids[0], "--store", "s.db").returncode == 0
    assert limpet("token", "revoke", "nobody", "--store", "s.db").returncode == 3
