"""`limpet dev` as a process: one ready line, an orderly end, and commands that ask it."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import httpx
from running_engine import LIMPET, STOP_MAX_S, Command, Running, clean_environment, running

from limpet._version import __version__
from limpet.cli import defaults
from limpet.cli.tokens import read_claims

UNKNOWN = "01934f2e-0000-7000-8000-000000000001"


def test_the_ready_line_tells_grpc_http_and_a_token_that_official_clients_can_read(engine: Running) -> None:
    claims = read_claims(engine.ready["token"])
    assert claims.tenant_id == defaults.TENANT_ID
    assert claims.grpc_address == engine.ready["grpc"]
    assert claims.server_url == engine.ready["http"]
    assert engine.ready["version"] == __version__
    assert engine.ready["token"].startswith("ey")


def test_it_listens_on_both_addresses(engine: Running) -> None:
    assert httpx.get(engine.ready["http"] + "/api/ready").json() == {"status": "ready"}
    host, port = engine.ready["grpc"].split(":")
    socket.create_connection((host, int(port)), timeout=5).close()


def test_a_web_page_of_another_origin_cannot_start_anything(engine: Running) -> None:
    url = f"{engine.ready['http']}/api/v1/stable/tenants/{defaults.TENANT_ID}/workflow-runs/trigger"
    answer = httpx.post(url, json={"workflowName": "x", "input": {}}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


def test_empty_lists_say_what_to_do_next_and_are_empty_in_json(engine: Running, limpet: Command) -> None:
    for noun, next_step in (("runs", "limpet workflows trigger"), ("workers", "limpet worker"), ("workflows", "limpet worker")):
        text = limpet(noun, "list", env=engine.environment)
        assert text.returncode == 0, text.stderr
        assert next_step in text.stdout
        assert json.loads(limpet(noun, "list", "--json", env=engine.environment).stdout)["rows"] == []


def test_what_does_not_exist_is_exit_code_3(engine: Running, limpet: Command) -> None:
    for arguments in (
        ["runs", "get", UNKNOWN],
        ["runs", "explain", UNKNOWN],
        ["runs", "logs", UNKNOWN],
        ["workers", "labels", "nobody"],
        ["workers", "pause", UNKNOWN],
        ["runs", "list", "--workflow", "nothing"],
    ):
        answer = limpet(*arguments, env=engine.environment)
        assert answer.returncode == 3, (arguments, answer.stderr)
        assert answer.stdout == ""


def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    with running("dev", "--store", "dev.db", cwd=tmp_path) as found:
        code, written = found.stop()
    assert code == 0, written
    assert "Traceback" not in written


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with running("dev", cwd=tmp_path) as found:
        found.process.send_signal(signal.SIGINT)
        found.process.send_signal(signal.SIGTERM)
        _, written = found.process.communicate(timeout=STOP_MAX_S)
    assert found.process.returncode in (0, 1), written
    assert "stopping" in written


def test_a_store_file_is_kept_and_held_by_one_process(tmp_path: Path, limpet: Command) -> None:
    with running("dev", "--store", "dev.db", cwd=tmp_path) as found:
        second = limpet("dev", "--store", "dev.db", "--grpc-port", "0", "--http-port", "0")
        assert second.returncode == 1
        assert str(found.process.pid) in second.stderr
    with sqlite3.connect(tmp_path / "dev.db") as connection:
        assert connection.execute("SELECT id FROM tenants").fetchall() == [(defaults.TENANT_ID,)]
    with running("dev", "--store", "sqlite:///dev.db", cwd=tmp_path) as again:
        assert again.stop()[0] == 0


def test_a_port_in_use_is_said_in_a_sentence(engine: Running, limpet: Command) -> None:
    port = engine.ready["http"].rsplit(":", 1)[1]
    answer = limpet("dev", "--grpc-port", "0", "--http-port", port)
    assert answer.returncode == 1
    assert "listens on" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_without_json_it_prints_lines_to_paste_for_each_client(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*LIMPET, "dev", "--grpc-port", "0", "--http-port", "0"],
        cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
    finally:
        process.terminate()
        process.communicate(timeout=STOP_MAX_S)
    text = "".join(lines)
    assert all(client in text for client in ("Python", "TypeScript", "Go"))
    names = [line.split("=")[0].removeprefix("  export ") for line in text.splitlines() if line.startswith("  export ")]
    assert names == [
        "LIMPET_HOST_PORT",
        "LIMPET_SERVER_URL",
        "HATCHET_CLIENT_TLS_STRATEGY",
        "HATCHET_CLIENT_TOKEN",
        "HATCHET_CLIENT_HOST_PORT",
        "HATCHET_CLIENT_SERVER_URL",
        "HATCHET_CLIENT_API_URL",
    ]
