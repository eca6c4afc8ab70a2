"""`limpet doctor`: each usual mistake is found, and the command that mends it is named."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_engine import Command, Running, running

from limpet._version import __version__
from limpet.cli.checks import (
    Surroundings,
    Verdict,
    check_clock,
    check_grpc,
    check_ready,
    check_token_times,
    check_variables,
    check_version,
    look_around,
    split_address,
)
from limpet.cli.store_checks import check_store

NOW = 1_800_000_000.0
DAY = 86_400.0


def token_with(**claims: Any) -> str:
    """A token of that content; nobody here checks signatures."""
    payload = {
        "sub": "tenant",
        "server_url": "http://h:1",
        "grpc_broadcast_address": "g:2",
        "iat": NOW - 10,
        "exp": NOW + 90 * DAY,
    } | claims
    middle = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhIjoxfQ.{middle}.c2ln"


def around(token: str | None = None, **environment: str) -> Surroundings:
    return look_around(environment, None, token, None)[0]


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """Something that listens, says its answer to whoever connects, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_addresses_come_from_the_environment_then_from_the_token_then_from_the_defaults() -> None:
    assert (around().grpc, around().url) == ("127.0.0.1:7077", "http://127.0.0.1:8888")
    assert (around(token_with()).grpc, around(token_with()).url) == ("g:2", "http://h:1")
    found = around(token_with(), HATCHET_CLIENT_HOST_PORT="e:3", LIMPET_SERVER_URL="http://e:4/")
    assert (found.grpc, found.url) == ("e:3", "http://e:4")
    assert around(HATCHET_CLIENT_TOKEN=token_with()).claims is not None


@pytest.mark.parametrize("token", ["nonsense", "a.b", "a.!!!.c", f"a.{base64.b64encode(b'[1]').decode()}.c", token_with(sub="")])
def test_a_malformed_token_is_found(token: str) -> None:
    _, finding = look_around({}, None, token, None)
    assert finding.verdict is Verdict.BAD
    assert "limpet token create" in finding.mend


@pytest.mark.parametrize(
    ("claims", "verdict", "says"),
    [
        ({}, Verdict.GOOD, "valid for 90 days"),
        ({"exp": NOW - 3 * DAY}, Verdict.BAD, "expired 3 days ago"),
        ({"exp": NOW + 2 * DAY}, Verdict.WARNING, "expires in 2 days"),
        ({"iat": NOW + 3600}, Verdict.BAD, "in the future"),
    ],
)
def test_the_times_of_a_token_are_looked_at(claims: dict[str, float], verdict: Verdict, says: str) -> None:
    finding = check_token_times(around(token_with(**claims)), NOW)
    assert finding.verdict is verdict
    assert says in finding.text


def test_variables_that_contradict_each_other_are_named() -> None:
    finding = check_variables(around(LIMPET_TOKEN="a", HATCHET_CLIENT_TOKEN="b"))
    assert finding.verdict is Verdict.WARNING
    assert finding.mend == "unset HATCHET_CLIENT_TOKEN"
    assert check_variables(around(LIMPET_TOKEN="a", HATCHET_CLIENT_TOKEN="a")).verdict is Verdict.GOOD


def test_nothing_listening_is_mended_by_starting_something() -> None:
    finding = check_grpc(around(LIMPET_HOST_PORT="127.0.0.1:1"))
    assert (finding.verdict, finding.mend) == (Verdict.BAD, "limpet dev")


def test_an_engine_that_a_token_names_is_not_replaced_by_one_for_development() -> None:
    finding = check_grpc(around(token_with(), HATCHET_CLIENT_HOST_PORT="127.0.0.1:1"))
    assert finding.verdict is Verdict.BAD
    assert finding.mend.startswith("Start the engine there")


def test_a_client_that_speaks_tls_to_plain_text_is_the_most_usual_mistake() -> None:
    with listening(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00") as address:
        finding = check_grpc(around(token_with(), HATCHET_CLIENT_HOST_PORT=address))
    assert finding.verdict is Verdict.BAD
    assert finding.mend == "export HATCHET_CLIENT_TLS_STRATEGY=none"


def test_plain_text_on_both_sides_is_fine() -> None:
    with listening(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00") as address:
        assert (
            check_grpc(around(token_with(), HATCHET_CLIENT_HOST_PORT=address, HATCHET_CLIENT_TLS_STRATEGY="none")).verdict
            is Verdict.GOOD
        )


def test_a_client_that_speaks_plain_text_to_tls_is_found() -> None:
    handshake_failure = bytes([21, 3, 3, 0, 2, 2, 40])  # a TLS alert: only TLS says no like this
    with listening(handshake_failure) as address:
        finding = check_grpc(around(LIMPET_HOST_PORT=address, LIMPET_TLS_STRATEGY="none"))
    assert finding.verdict is Verdict.BAD
    assert "speaks TLS" in finding.text


def test_something_else_on_the_port_is_found() -> None:
    finding = check_ready(around(LIMPET_SERVER_URL="http://127.0.0.1:8888"), httpx.Response(404, text="nginx"))
    assert finding.verdict is Verdict.BAD
    assert "8888" in finding.mend


def test_an_engine_that_is_not_ready_says_why() -> None:
    finding = check_ready(around(), httpx.Response(503, json={"errors": [{"description": "the disk is full"}]}))
    assert finding.verdict is Verdict.BAD
    assert "the disk is full" in finding.text


def said(version: str) -> dict[str, Any]:
    """The beginning of the API's description."""
    return {"openapi": "3.1.0", "info": {"title": "Limpet", "version": version}}


def test_another_version_is_a_warning() -> None:
    assert check_version(httpx.Response(200, json=said("9.9.9"))).mend == "pip install 'limpet==9.9.9'"
    assert check_version(httpx.Response(200, json=said(__version__))).verdict is Verdict.GOOD
    assert check_version(httpx.Response(404)).verdict is Verdict.GOOD


@pytest.mark.parametrize(("ahead", "verdict"), [(0, Verdict.GOOD), (60, Verdict.WARNING), (-60, Verdict.WARNING)])
def test_clocks_that_differ_are_found(ahead: float, verdict: Verdict) -> None:
    answer = httpx.Response(200, headers={"date": formatdate(NOW, usegmt=True)})
    assert check_clock(answer, NOW + ahead).verdict is verdict


def test_an_address_has_a_host_and_a_port() -> None:
    assert split_address("a.example:1") == ("a.example", 1)
    assert split_address("[::1]:2") == ("::1", 2)
    assert split_address("https://a.example") == ("a.example", 7077)


def test_a_store_is_looked_at_from_folder_to_lock(tmp_path: Path, limpet: Command) -> None:
    assert check_store("redis://x").verdict is Verdict.BAD
    assert "mkdir -p" in check_store(str(tmp_path / "absent" / "s.db")).mend
    assert check_store(str(tmp_path / "s.db")).verdict is Verdict.GOOD
    limpet("token", "create", "x", "--store", "s.db")
    assert "is free" in check_store(str(tmp_path / "s.db")).text
    (tmp_path / "foreign.db").write_text("no database at all, but long enough to be read as one" * 20)
    assert check_store(str(tmp_path / "foreign.db")).verdict is Verdict.BAD


def test_a_running_development_engine_gets_a_clean_bill(engine: Running, limpet: Command) -> None:
    answer = limpet("doctor", "--json", env=engine.environment)
    assert answer.returncode == 0, answer.stdout
    assert {each["check"] for each in json.loads(answer.stdout)} >= {"token", "grpc", "http", "admission", "version", "clock"}
    assert all(each["verdict"] == "good" for each in json.loads(answer.stdout))
    assert f"Engine and command are limpet {__version__}." in answer.stdout


def test_the_wrong_tls_strategy_against_a_real_engine_is_found(engine: Running, limpet: Command) -> None:
    wrong = engine.environment | {"HATCHET_CLIENT_TOKEN": engine.ready["token"]}
    answer = limpet("doctor", env=wrong)
    assert answer.returncode == 1
    assert "export HATCHET_CLIENT_TLS_STRATEGY=none" in answer.stdout
    assert limpet("doctor", env=wrong | {"HATCHET_CLIENT_TLS_STRATEGY": "none"}).returncode == 0


def test_a_store_held_by_an_engine_names_the_process(tmp_path: Path, limpet: Command) -> None:
    with running("dev", "--store", "held.db", cwd=tmp_path) as found:
        answer = limpet("doctor", "--store", "held.db", env=found.environment)
    assert f"Process {found.process.pid} holds held.db" in answer.stdout
    assert answer.returncode == 0, answer.stdout
