"""What an engine process refuses to be: a door left open."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from limpet.cli.compose import own_address, server_name
from limpet.cli.exits import Misuse
from limpet.cli.plan import Plan, Tls, address, is_loopback, key_file_of, lasting_store, store_file, store_place
from limpet.store.address import Address

KEY = Path("key")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"])
def test_a_development_engine_listens_on_loopback(host: str) -> None:
    Plan(host=host, is_dev=True).check()
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "engine.example.com", ""])
def test_a_development_engine_refuses_to_listen_beyond_loopback(host: str) -> None:
    with pytest.raises(Misuse, match="asks nobody for a token"):
        Plan(host=host, is_dev=True, allows_plaintext=True).check()


def test_X13_tokens_do_not_travel_in_plain_text_unless_somebody_says_so() -> None:
    with pytest.raises(Misuse, match="unencrypted"):
        Plan(host="0.0.0.0", key_file=KEY).check()
    Plan(host="0.0.0.0", key_file=KEY, allows_plaintext=True).check()
    Plan(host="127.0.0.1", key_file=KEY).check()


def test_a_server_without_a_signing_key_does_not_start() -> None:
    with pytest.raises(Misuse, match="signing key"):
        Plan(host="127.0.0.1").check()


def test_tls_files_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"absent\.crt"):
        Plan(host="0.0.0.0", key_file=KEY, tls=Tls(tmp_path / "absent.crt", tmp_path / "absent.key")).check()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (None, None),
        ("memory", None),
        ("memory://", None),
        ("sqlite:///a.db", Path("a.db")),
        ("sqlite:////var/a.db", Path("/var/a.db")),
        ("a.db", Path("a.db")),
    ],
)
def test_a_store_is_memory_or_a_file(text: str | None, path: Path | None) -> None:
    assert store_place(text) == path


@pytest.mark.parametrize("text", ["sqlite:a.db", "redis://x"])
def test_another_kind_of_store_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="no store for"):
        store_place(text)


def test_memory_is_no_store_file() -> None:
    with pytest.raises(Misuse, match="--store FILE"):
        lasting_store("memory")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_X23_a_database_is_shown_without_its_password(scheme: str) -> None:
    place = lasting_store(f"{scheme}://me:secret@db.example:5433/limpet?sslmode=verify-full&password=secret")
    assert isinstance(place, Address)
    assert "secret" in place.url
    for shown in (str(place), repr(place), repr(Plan(store=place)), f"{place}"):
        assert "secret" not in shown
    assert str(place) == f"{scheme}://me@db.example:5433/limpet?sslmode=verify-full"


def test_a_database_is_no_file() -> None:
    with pytest.raises(Misuse, match="works on files"):
        store_file("postgresql://db/x", instead="Use pg_dump.")


def test_a_store_in_a_database_needs_a_named_key_file() -> None:
    with pytest.raises(Misuse, match="--key-file"):
        key_file_of(lasting_store("postgresql://db/x"))


def test_the_signing_key_lives_beside_the_store() -> None:
    assert key_file_of(Path("/data/limpet.db")) == Path("/data/limpet.db.signing-key")


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("127.0.0.1", "127.0.0.1:7"),
        ("0.0.0.0", "127.0.0.1:7"),
        ("::", "[::1]:7"),
        ("[::1]", "[::1]:7"),
        ("a.example", "a.example:7"),
    ],
)
def test_the_address_told_to_clients_can_be_reached(host: str, text: str) -> None:
    assert address(host, 7) == text


def test_a_server_is_reached_by_its_machine_s_name_when_it_listens_everywhere() -> None:
    assert own_address("0.0.0.0", 7077) == own_address("[::]", 7077) == f"{socket.gethostname()}:7077"
    assert own_address("10.0.0.7", 7078) == "10.0.0.7:7078"
    assert server_name().startswith(socket.gethostname())
    assert server_name() != server_name()
