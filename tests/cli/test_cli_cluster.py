"""`limpet cluster status` beside real servers on one database: who owns the store, who stands by, who has gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running_engine import Command, Running, running, until

from limpet.cli.cluster import EXPIRED, GONE, OWNER, SILENT, STANDBY, lease_shown, lease_text, state_of, verdict
from limpet.core.ids import SECOND_US
from limpet.store.api import Fence, GroupNo
from limpet.store.postgres.ownership import GROUPS, Lease, Server

Look = Callable[[], dict[str, Any]]


@pytest.fixture
def look(own_database: str, limpet: Command) -> Look:
    """The command's answer as a program reads it."""

    def asked() -> dict[str, Any]:
        answer = limpet("cluster", "status", "--store", own_database, "--json")
        assert answer.returncode == 0, answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    return asked


@pytest.fixture
def servers(own_database: str, tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """The owner and a standby."""
    start = "server", "--store", own_database, "--key-file", "key"
    with running(*start, cwd=tmp_path) as first, running(*start, cwd=tmp_path) as second:
        yield first, second


def states(found: dict[str, Any]) -> list[str]:
    return [each["state"] for each in found["servers"]]


def kill(server: Running) -> None:
    server.process.kill()
    server.process.wait()


def test_an_owner_and_a_standby_are_told_apart(
    servers: tuple[Running, Running], look: Look, own_database: str, limpet: Command
) -> None:
    found = look()
    assert states(found) == [OWNER, STANDBY]
    assert len(found["leases"]) == GROUPS
    assert {each["owner"] for each in found["leases"]} == {found["servers"][0]["id"]}
    assert all(0 < each["expires_in_s"] <= 6 for each in found["leases"])
    assert [each["tenants"] for each in found["leases"] if each["tenants"]] == [1]
    shown = limpet("cluster", "status", "--store", own_database).stdout
    assert found["servers"][1]["id"] in shown
    assert " left" in shown
    assert "another one would take over" in shown
    rows = limpet("cluster", "status", "--all", "--store", own_database).stdout.splitlines()
    assert sum(found["servers"][0]["id"] in row for row in rows) == GROUPS + 1


def test_a_port_that_the_system_chose_is_told_to_the_others(servers: tuple[Running, Running], look: Look) -> None:
    told = [server["address"] for server in look()["servers"]]
    assert told == [server.ready["grpc"] for server in servers]
    assert not any(address.endswith(":0") for address in told)


def test_L5_a_standby_is_seen_to_take_over(servers: tuple[Running, Running], look: Look) -> None:
    before = look()
    kill(servers[0])
    until(lambda: states(look()) == [GONE, OWNER], "the standby owns the store")
    after = look()
    assert {each["owner"] for each in after["leases"]} == {before["servers"][1]["id"]}
    assert {each["epoch"] for each in after["leases"]} == {each["epoch"] + 1 for each in before["leases"]}


def test_an_owner_that_is_alone_is_called_so(
    servers: tuple[Running, Running], look: Look, own_database: str, limpet: Command
) -> None:
    kill(servers[1])
    until(lambda: states(look()) == [OWNER, GONE], "the standby has gone")
    assert "No server stands by" in limpet("cluster", "status", "--store", own_database).stdout


def test_R49_a_store_that_was_given_up_has_free_leases(own_database: str, tmp_path: Path, look: Look) -> None:
    with running("server", "--store", own_database, "--key-file", "key", cwd=tmp_path) as only:
        assert only.stop()[0] == 0
    found = look()
    assert states(found) == [GONE]
    assert {(each["owner"], each["expires_in_s"]) for each in found["leases"]} == {(None, None)}


@pytest.mark.parametrize(
    ("store", "code", "says"),
    [("s.db", 2, "limpet db status"), ("memory", 2, "No store is named"), ("postgresql://127.0.0.1:1/x", 1, "cannot be reached")],
)
def test_a_store_without_a_cluster_says_why(limpet: Command, store: str, code: int, says: str) -> None:
    answer = limpet("cluster", "status", "--store", store)
    assert answer.returncode == code, answer.stderr
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_database_without_a_store_says_what_to_do(empty_database: str, limpet: Command) -> None:
    answer = limpet("cluster", "status", "--store", empty_database)
    assert answer.returncode == 2
    assert "limpet db migrate" in answer.stderr


def server(*, is_connected: bool) -> Server:
    return Server("me", "here:7077", 0, "1.0", is_connected)


def lease(owner: str | None, left_us: int | None, *, released: bool = False) -> Lease:
    return Lease(GroupNo(7), owner, "here:7077", Fence(3, 40), left_us, released, 1)


@pytest.mark.parametrize(
    ("is_connected", "leases", "state"),
    [
        (True, [lease("me", SECOND_US)], OWNER),
        (False, [lease("me", SECOND_US)], SILENT),
        (True, [lease("me", -SECOND_US)], EXPIRED),
        (False, [lease("me", -SECOND_US)], EXPIRED),
        (True, [lease("me", SECOND_US, released=True)], STANDBY),
        (True, [lease("other", SECOND_US)], STANDBY),
        (False, [lease("other", SECOND_US)], GONE),
        (False, [lease(None, None)], GONE),
    ],
)
def test_what_a_server_is_follows_from_its_leases_and_connections(is_connected: bool, leases: list[Lease], state: str) -> None:
    assert state_of(server(is_connected=is_connected), leases) == state


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (lease("me", 5_200_000), "5.2 s left"),
        (lease("me", -12 * SECOND_US), "ended 12.0 s ago"),
        (lease("me", SECOND_US, released=True), "free"),
        (lease(None, None), "free"),
    ],
)
def test_a_lease_says_how_long_it_lasts(one: Lease, text: str) -> None:
    assert lease_text(lease_shown(one)) == text


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([OWNER, STANDBY], "would take over"),
        ([OWNER, GONE], "No server stands by"),
        ([SILENT, STANDBY], "A standby takes over when its lease has run out"),
        ([EXPIRED, GONE], "Start a server"),
        ([], "Start a server"),
    ],
)
def test_the_last_line_says_what_matters_first(found: list[str], says: str) -> None:
    assert says in verdict(found)
