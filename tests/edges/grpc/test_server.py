"""The server as a whole: ports, TLS, several at once."""

from __future__ import annotations

import datetime
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts.stubs import DispatcherStub
from limpet.edges.grpc.server import GrpcServer, wall_clock
from limpet.edges.grpc.settings import GrpcSettings, Tls
from limpet.edges.streams import StreamRegistry

from .conftest import MINE, Edge, status_of
from .fake_door import FakeAccess, FakeDoor


def server(settings: GrpcSettings | None = None) -> GrpcServer:
    return GrpcServer(FakeDoor(), StreamRegistry(end_spread_s=0), FakeAccess(), settings)


async def version(channel: grpc.aio.Channel) -> str:
    reply = await DispatcherStub(channel).GetVersion(wire.GetVersionRequest(), metadata=MINE, timeout=5)
    return str(reply.version)


async def test_a_port_that_is_taken_is_refused_not_shared(edge: Edge) -> None:
    with pytest.raises(RuntimeError):
        await server().start("127.0.0.1", edge.port)


async def test_ipv6_addresses_are_written_as_gRPC_wants_them() -> None:
    one = server()
    port = await one.start("::1", 0)
    async with grpc.aio.insecure_channel(f"[::1]:{port}") as channel:
        assert await version(channel)
    await one.stop(0)


async def test_stop_before_start_and_twice_is_harmless() -> None:
    one = server()
    await one.stop(0)
    port = await one.start("127.0.0.1", 0)
    await one.stop(0)
    await one.stop(0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        code, _ = await status_of(DispatcherStub(channel).GetVersion(wire.GetVersionRequest(), metadata=MINE, timeout=5))
    assert code is grpc.StatusCode.UNAVAILABLE


def test_the_wall_clock_counts_microseconds() -> None:
    assert 1_700_000_000_000_000 < wall_clock() < 10_000_000_000_000_000


class Authority:
    """A certificate authority in memory that writes PEM files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._write("ca.pem", self._sign(self._name, self._key, is_authority=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Paths of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._write(f"{name}.pem", self._sign(subject, key, is_authority=False))
        text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return certificate, self._write(f"{name}.key", text)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, text: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(text)
        return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_X13_tls(authority: Authority) -> None:
    certificate, key = authority.issue("server")
    one = server(GrpcSettings(tls=Tls(certificate, key)))
    port = await one.start("localhost", 0)
    trusting = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{port}", trusting) as channel:
        assert await version(channel)
    async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
        code, _ = await status_of(DispatcherStub(channel).GetVersion(wire.GetVersionRequest(), metadata=MINE, timeout=5))
        assert code is grpc.StatusCode.UNAVAILABLE
    await one.stop(0)


async def test_X13_with_a_client_authority_only_its_clients_come_in(authority: Authority) -> None:
    certificate, key = authority.issue("server")
    one = server(GrpcSettings(tls=Tls(certificate, key, client_ca=authority.certificate)))
    port = await one.start("localhost", 0)
    mine, my_key = authority.issue("client")
    root = authority.certificate.read_bytes()
    known = grpc.ssl_channel_credentials(root, my_key.read_bytes(), mine.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{port}", known) as channel:
        assert await version(channel)
    async with grpc.aio.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(root)) as channel:
        code, _ = await status_of(DispatcherStub(channel).GetVersion(wire.GetVersionRequest(), metadata=MINE, timeout=5))
        assert code is grpc.StatusCode.UNAVAILABLE
    await one.stop(0)


@pytest.mark.slow
async def test_TKEEPALIVE_pings_of_an_idle_client_are_not_punished(edge: Edge) -> None:
    """A minute of pings every 10 s on an idle stream, as the official client sends them: no GOAWAY."""
    options = [
        ("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 60_000), ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]  # fmt: skip
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.port}", options=options) as channel:
        call = DispatcherStub(channel).ListenV2(wire.WorkerListenRequest(worker_id="w"), metadata=MINE, timeout=65)
        code = await call.code()
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED, "the client's own deadline, not ours"
