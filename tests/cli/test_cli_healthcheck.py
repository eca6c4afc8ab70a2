"""The health check of the image, against real servers: it tells the living from the dead, with and without TLS."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from running_engine import ANSWER_MAX_S, Running, clean_environment, running

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "healthcheck.py"


def exit_code(*arguments: str, **environment: str) -> int:
    """Of the script as a container runs it."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, env=clean_environment(**environment), check=False, timeout=ANSWER_MAX_S).returncode


def port_of(server: Running) -> str:
    return str(server.ready["http"]).rpartition(":")[2]


def test_a_server_is_alive_while_it_answers(tmp_path: Path) -> None:
    with running("server", "--store", "s.db", cwd=tmp_path) as server:
        port = port_of(server)
        assert exit_code(LIMPET_HTTP_PORT=port) == 0
        assert exit_code(f"http://127.0.0.1:{port}/health") == 0
        assert exit_code(f"http://127.0.0.1:{port}/nothing") == 1
        server.stop()
    assert exit_code(LIMPET_HTTP_PORT=port) == 1


def test_a_server_with_tls_is_alive_for_whoever_speaks_it(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = map(str, certificate)
    with running("server", "--store", "s.db", "--tls-cert", chain, "--tls-key", key, cwd=tmp_path) as server:
        assert exit_code(LIMPET_HTTP_PORT=port_of(server), LIMPET_SERVER_TLS_CERT=chain) == 0
        assert exit_code(LIMPET_HTTP_PORT=port_of(server)) == 1


def test_a_server_that_asks_for_a_certificate_is_alive_while_it_greets(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = map(str, certificate)
    with running(
        "server", "--store", "s.db", "--tls-cert", chain, "--tls-key", key, "--tls-client-ca", chain, cwd=tmp_path
    ) as server:
        settings = {"LIMPET_HTTP_PORT": port_of(server), "LIMPET_SERVER_TLS_CERT": chain, "LIMPET_SERVER_TLS_CLIENT_CA": chain}
        assert exit_code(**settings) == 0
        server.stop()
    assert exit_code(**settings) == 1


def test_a_port_that_accepts_and_says_nothing_is_dead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = str(deaf.getsockname()[1])
        assert exit_code(LIMPET_HTTP_PORT=port) == 1
        assert exit_code(LIMPET_HTTP_PORT=port, LIMPET_SERVER_TLS_CLIENT_CA="ca.crt") == 1
