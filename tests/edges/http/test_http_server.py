"""The HTTP server: starting and stopping, patience, limits, health, metrics, TLS."""

from __future__ import annotations

import asyncio
import datetime
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, Counter
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from limpet.edges.http import server as server_module
from limpet.edges.http.lazy import LazyApp
from limpet.edges.http.rates import CallRates
from limpet.edges.http.server import HttpServer
from limpet.edges.tokens import OpenAccess
from tests.edges.rest.world import TENANT, World

from .conftest import Serve

TENANT_PATH = f"/api/v1/tenants/{TENANT.id}"
TRIGGER = f"/api/v1/stable/tenants/{TENANT.id}/workflow-runs/trigger"


# Life


async def test_it_listens_on_a_free_port_and_stops(world: World) -> None:
    server = HttpServer(world, OpenAccess(TENANT.id))
    port = await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/health")).json() == {"status": "alive"}
    await server.stop()
    await server.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_it_stops_before_it_was_started(world: World) -> None:
    await HttpServer(world, OpenAccess(TENANT.id)).stop()


async def test_a_taken_port_is_an_error_of_the_caller_and_ends_nothing(world: World, serve: Serve) -> None:
    port = await serve()
    second = HttpServer(world, OpenAccess(TENANT.id))
    with pytest.raises(OSError, match="in use"):
        await second.start("127.0.0.1", port)


async def test_signals_stay_with_whoever_composes_the_engine(serve: Serve) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    await serve()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


async def test_a_call_under_way_is_answered_before_the_end(world: World) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> PlainTextResponse:
        begun.set()
        await go_on.wait()
        return PlainTextResponse("done")

    server = HttpServer(world, OpenAccess(TENANT.id), server_module.HttpOptions(pages=(Route("/slow", slow),)))
    port = await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient() as client:
        call = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/slow"))
        await begun.wait()
        ending = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        go_on.set()
        assert (await call).text == "done"
        await ending


def test_D14_starting_does_not_import_fastapi() -> None:
    code = "import sys; import limpet.edges.http.server, limpet.edges.tokens; sys.exit('fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_rest_tree_is_built_once_for_calls_that_come_together() -> None:
    built: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["seen"].append(len(built))

    def build() -> object:
        built.append(1)
        return app

    lazy, scope = LazyApp(build), {"seen": list[int]()}  # type: ignore[arg-type]
    await asyncio.gather(*(lazy(scope, None, None) for _ in range(20)))  # type: ignore[arg-type]
    assert scope["seen"] == [1] * 20


# Patience


async def closed_by_server(reader: asyncio.StreamReader) -> bytes:
    """All that the server sends until it closes."""
    return await asyncio.wait_for(reader.read(), 5)


@pytest.mark.parametrize("begin", [b"", b"GET /health HTTP/1.1\r\nhost: x\r\nx-slow: "])
async def test_X_DOS_who_does_not_finish_the_head_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    monkeypatch.setattr(server_module, "HEAD_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", await serve())
    writer.write(begin)
    assert await closed_by_server(reader) == b""
    writer.close()


async def test_X_DOS_a_second_head_has_the_same_time_as_the_first(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_TIMEOUT_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", await serve())
    for _ in range(3):
        writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readuntil(b'{"status":"alive"}')
    writer.write(b"GET /hea")
    assert await closed_by_server(reader) == b""
    writer.close()


async def test_X_DOS_a_huge_head_is_refused(serve: Serve) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await serve())
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 40_000)
    assert (await closed_by_server(reader)).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_X_DOS_connections_beyond_the_bound_are_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS_MAX", 2)
    port = await serve()
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for _, writer in kept:
        writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    for reader, _ in kept:
        await reader.readuntil(b'{"status":"alive"}')
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await closed_by_server(reader) == b""
    for each in (writer, *(writer for _, writer in kept)):
        each.close()


async def test_X_DOS_a_body_that_does_not_come_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limpet.edges.http.bodies.BoundedBodies.__init__.__kwdefaults__", {"bytes_max": 100, "timeout_s": 0.05})
    reader, writer = await asyncio.open_connection("127.0.0.1", await serve())
    head = f"POST {TRIGGER} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n"
    writer.write(head.encode() + b"{")
    assert (await closed_by_server(reader)).startswith(b"HTTP/1.1 408")
    writer.close()


# Limits


async def test_X15_a_body_that_is_announced_too_large_is_refused_unread(serve: Serve) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await serve())
    head = f"POST {TRIGGER} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 4194305\r\n\r\n"
    writer.write(head.encode())
    assert (await closed_by_server(reader)).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_X15_a_body_that_grows_too_large_is_refused(serve: Serve) -> None:
    port = await serve()

    async def chunks() -> object:
        for _ in range(5):
            yield b"x" * 1024 * 1024  # type: ignore[misc]

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.post(TRIGGER, content=chunks(), headers={"content-type": "application/json"})  # type: ignore[arg-type]
    assert answer.status_code == 413
    assert "4194304" in answer.json()["errors"][0]["description"]


async def test_X19_a_tenant_has_a_rate_and_a_development_engine_has_none(serve: Serve) -> None:
    limited, free = await serve(calls_per_second=2), await serve(calls_per_second=2, dev_mode=True)
    async with httpx.AsyncClient() as client:
        codes = [(await client.get(f"http://127.0.0.1:{limited}{TENANT_PATH}")).status_code for _ in range(6)]
        assert codes[:2] == [200, 200]
        assert codes[-1] == 429
        assert {(await client.get(f"http://127.0.0.1:{free}{TENANT_PATH}")).status_code for _ in range(6)} == {200}


def test_X19_the_rate_refills_with_time_and_tenants_do_not_share() -> None:
    now = [0.0]
    rates = CallRates(2, clock=lambda: now[0])
    assert [rates.take("a") for _ in range(3)] == [True, True, False]
    assert rates.take("b")
    now[0] = 0.5
    assert [rates.take("a") for _ in range(2)] == [True, False]
    now[0] = 60.0
    assert [rates.take("a") for _ in range(3)] == [True, True, False]


# Health and metrics


async def test_readiness_follows_the_door_and_liveness_does_not(world: World, serve: Serve) -> None:
    port = await serve()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for path in ("/ready", "/api/ready"):
            world.is_ready = True
            assert (await client.get(path)).json() == {"status": "ready"}
            world.is_ready = False
            answer = await client.get(path)
            assert answer.status_code == 503
            assert "not ready" in answer.json()["errors"][0]["description"]
            assert (await client.get("/health")).status_code == (await client.get("/api/live")).status_code == 200


async def test_metrics_are_the_registry_as_text(serve: Serve) -> None:
    registry = CollectorRegistry()
    Counter("commits", "Commits.", registry=registry).inc(3)
    port = await serve(registry=registry)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.get("/metrics")
    assert "commits_total 3.0" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


async def test_S1_metrics_with_a_password_open_for_nobody_else(serve: Serve) -> None:
    port = await serve(registry=CollectorRegistry(), metrics_password="open sesame")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for header in ({}, {"authorization": "Bearer x"}, {"authorization": "Bearer"}):
            assert (await client.get("/metrics", headers=header)).status_code == 403
        assert (await client.get("/metrics", headers={"authorization": "Bearer open sesame"})).status_code == 200


async def test_S1_metrics_without_a_password_are_for_this_machine_only(world: World) -> None:
    server = HttpServer(world, OpenAccess(TENANT.id), server_module.HttpOptions(registry=CollectorRegistry()))
    for address, code in (("127.0.0.1", 200), ("10.0.0.7", 403)):
        transport = httpx.ASGITransport(app=server.app, client=(address, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
            assert (await client.get("/metrics", headers={"x-forwarded-for": "127.0.0.1"})).status_code == code


async def test_without_a_registry_there_is_no_metrics_page(serve: Serve) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{await serve()}/metrics")).status_code == 404


# TLS


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "limpet test")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    return folder / "cert.pem", folder / "key.pem"


async def test_X13_it_speaks_TLS_and_says_so(serve: Serve, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    port = await serve(tls=context)
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(cert))) as client:
        answer = await client.get(f"https://127.0.0.1:{port}/health")
    assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_X14_without_TLS_there_is_no_promise_of_it(serve: Serve) -> None:
    async with httpx.AsyncClient() as client:
        assert "strict-transport-security" not in (await client.get(f"http://127.0.0.1:{await serve()}/health")).headers


async def test_pages_may_bring_their_own_content_policy(serve: Serve) -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello", headers={"content-security-policy": "default-src 'self'"})

    port = await serve(pages=(Route("/", page),))
    async with httpx.AsyncClient() as client:
        headers = (await client.get(f"http://127.0.0.1:{port}/")).headers
    assert headers["content-security-policy"] == "default-src 'self'"
    assert headers["x-content-type-options"] == "nosniff"
