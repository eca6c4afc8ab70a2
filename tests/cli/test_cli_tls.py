"""X13: a server with TLS speaks nothing else, on both ports."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from running_engine import Command, running

from limpet.cli.checks import probe_tls, split_address


def test_X13_a_server_with_tls_speaks_it_on_both_ports(certificate: tuple[Path, Path], tmp_path: Path, limpet: Command) -> None:
    files = [str(path) for path in certificate]
    token = limpet("token", "create", "x", "--store", "s.db").stdout.strip()
    with running("server", "--store", "s.db", "--tls-cert", files[0], "--tls-key", files[1], cwd=tmp_path) as server:
        assert server.ready["http"].startswith("https://")
        answer = httpx.get(server.ready["http"] + "/api/ready", verify=ssl.create_default_context(cafile=files[0]))
        assert answer.status_code == 200
        assert "max-age" in answer.headers["strict-transport-security"]
        assert probe_tls(*split_address(server.ready["grpc"]))
        plain = httpx.Client(trust_env=False)
        with plain, pytest.raises(httpx.TransportError):
            plain.get(server.ready["http"].replace("https", "http") + "/api/ready")
        trusting = server.environment | {"LIMPET_TOKEN": token, "SSL_CERT_FILE": files[0]}
        assert json.loads(limpet("runs", "list", "--json", env=trusting).stdout)["rows"] == []
        code, written = server.stop()
    assert code == 0, written


def test_a_key_of_another_certificate_is_refused(certificate: tuple[Path, Path], tmp_path: Path, limpet: Command) -> None:
    other = tmp_path / "other.key"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    answer = limpet("server", "--store", "s.db", "--tls-cert", str(certificate[0]), "--tls-key", str(other))
    assert answer.returncode == 2
    assert "key and certificate match" in answer.stderr
