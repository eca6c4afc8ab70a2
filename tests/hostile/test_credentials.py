"""X-MATRIX: every call of both wires × every credential that opens nothing; revocation; what development mode guards."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpc import StatusCode as S

from limpet.contracts import dispatcher_pb2 as wire
from limpet.contracts import trigger_pb2 as triggers
from limpet.contracts.methods import METHODS
from limpet.edges import tokens
from limpet.edges.grpc.settings import GrpcSettings
from limpet.edges.rest.absent import ABSENT
from limpet.edges.signing import new_key_ring

from .house import MINE, THEIRS, House, sentences, status_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID = (S.UNAUTHENTICATED, "invalid auth token")
SOME_ID = "018f0000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Forger:
    """Tokens that look like one of ours and are none."""

    house: House

    def claims(self, **changes: Any) -> dict[str, Any]:
        decoded: dict[str, Any] = jwt.decode(self.house.mine, options={"verify_signature": False})
        return {key: value for key, value in (decoded | changes).items() if value is not None}

    def signed(self, **changes: Any) -> str:
        """With our own key: only the claims are wrong."""
        return tokens.sign(self.house.keys, self.claims(**changes))

    def by_hand(self, head: dict[str, str], sign: Any) -> str:
        """Put together byte by byte, because no library would do it."""
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, self.claims())]
        signature = base64.urlsafe_b64encode(sign(b".".join(parts))).rstrip(b"=")
        return b".".join((*parts, signature)).decode()

    def all(self) -> dict[str, str]:
        """Name and token."""
        keys, mine, now = self.house.keys, self.house.mine, int(time.time())
        head, body, signature = mine.split(".")
        public = keys.signing.public_key()
        secrets = {"PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
                   "raw": public.public_bytes(Encoding.Raw, PublicFormat.Raw)}  # fmt: skip
        confused = {
            f"HS256 with the public key as {form}": self.by_hand(
                {"alg": "HS256", "typ": "JWT", "kid": keys.key_id},
                lambda text, s=secret: hmac.new(s, text, hashlib.sha256).digest(),
            )
            for form, secret in secrets.items()
        }
        return confused | {
            "none": "",
            "nonsense": "nonsense",
            "half a token": mine[: len(mine) // 2],
            "without signature": f"{head}.{body}.",
            "another signature": f"{head}.{body}.{signature[::-1]}",
            "another body": ".".join((head, jwt.encode(self.claims(sub=THEIRS), "k" * 32).split(".")[1], signature)),
            "alg none": self.by_hand({"alg": "none", "typ": "JWT", "kid": keys.key_id}, lambda _: b""),
            "alg None with a signature": self.by_hand({"alg": "None", "typ": "JWT", "kid": keys.key_id}, keys.signing.sign),
            "signed by a stranger": tokens.sign(new_key_ring(), self.claims()),
            "signed by a stranger under our kid": jwt.encode(
                self.claims(), new_key_ring().signing, algorithm="EdDSA", headers={"kid": keys.key_id}
            ),
            "no kid": jwt.encode(self.claims(), keys.signing, algorithm="EdDSA"),
            "wrong audience": self.signed(aud="somebody"),
            "wrong issuer": self.signed(iss="somebody"),
            "no audience": self.signed(aud=None),
            "no expiry": self.signed(exp=None),
            "expired": self.signed(exp=now - 3600),
            "from the future": self.signed(iat=now + 3600),
            "an id that is no row": self.signed(token_id=SOME_ID, iat=now - 7200),
            "a tenant that is none": self.signed(sub=SOME_ID),
            "5,000 bytes": "ey" + "J" * 5000,
        }


@pytest_asyncio.fixture(loop_scope="module")
async def bad_tokens(house: House) -> AsyncIterator[dict[str, str]]:
    """All forgeries, and a token that was revoked."""
    token, row = await house.mint(MINE)
    await house.process.store.put_token(row._replace(revoked_at=1))
    await house.refresh_tokens()
    yield Forger(house).all() | {"revoked": token}


async def test_X_MATRIX_no_method_opens_for_a_bad_token(house: House, bad_tokens: dict[str, str]) -> None:
    wrong: list[tuple[str, str, Any]] = []
    for name, token in bad_tokens.items():
        answers = await asyncio.gather(*(house.status(method.path, b"", token=token) for method in METHODS))
        wrong += [(name, method.path, answer) for method, answer in zip(METHODS, answers, strict=True) if answer != INVALID]
    assert wrong == []
    assert len(METHODS) * len(bad_tokens) > 700


async def rest_operations(house: House) -> list[tuple[str, str]]:
    """Verb and path of every route, from the engine's own description and from the table of absent ones."""
    described = (await house.rest("GET", "/openapi.json")).json()["paths"]
    served = [
        (verb.upper(), path.removeprefix("/api").removeprefix("/v1")) for path, verbs in described.items() for verb in verbs
    ]
    absent = [(verb, each.path.removeprefix("/v1")) for each in ABSENT for verb in each.methods]
    return served + absent


def filled(path: str, one: str = SOME_ID) -> str:
    """The path with our tenant and one id for everything else."""
    out = path.replace("{tenant}", MINE)
    while "{" in out:
        start, end = out.index("{"), out.index("}")
        out = out[:start] + one + out[end + 1 :]
    return out


async def test_X_MATRIX_no_route_opens_for_a_bad_token(house: House, bad_tokens: dict[str, str]) -> None:
    operations = await rest_operations(house)
    assert len(operations) > 60
    for name, token in bad_tokens.items():
        for verb, path in operations:
            answer = await house.rest(verb, filled(path), {}, token=token)
            assert (name, verb, path, answer.status_code) == (name, verb, path, 403)
            assert sentences(answer)
            assert not token or token not in answer.text


async def test_X_MATRIX_another_tenants_token_opens_no_route_of_ours_and_learns_nothing(house: House) -> None:
    """403 with the same words, whether the tenant of the path exists or not (X11)."""
    operations = [(verb, path) for verb, path in await rest_operations(house) if "{tenant}" in path]
    assert len(operations) > 40
    for verb, path in operations:
        existing = await house.rest(verb, filled(path), {}, token=house.theirs)
        unknown = await house.rest(verb, filled(path).replace(MINE, SOME_ID), {}, token=house.theirs)
        assert (existing.status_code, existing.content) == (unknown.status_code, unknown.content)
        assert existing.status_code == 403


async def test_X4_credentials_come_before_everything_else(house: House) -> None:
    """A body that is no JSON, a method that does not exist, a size beyond the bound: a stranger hears of none of it."""
    for verb, path, body in (
        ("POST", "/stable/tenants/{tenant}/workflow-runs/trigger", b"{" * 100),
        ("POST", "/stable/tenants/{tenant}/workflow-runs/trigger", b"x" * 100_000),
        ("PUT", "/nowhere", b""),
        ("GET", "/openapi.json", None),
    ):
        assert (await house.rest(verb, path, body, token="nonsense")).status_code == 403
    assert await house.status("/Dispatcher/Register", b"\xff\xff", token="nonsense") == INVALID


async def test_S1_metrics_health_and_readiness_tell_a_stranger_nothing_of_tenants(house: House) -> None:
    for path in ("/health", "/api/live", "/ready", "/api/ready"):
        answer = await house.http.get(path)
        assert answer.status_code == 200
        assert MINE not in answer.text
    assert MINE not in (await house.http.get("/metrics")).text


async def test_X_REVOKE_open_streams_of_a_revoked_token_end_within_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is read again and the streams are looked through again, both in short order here."""
    assert tokens.REFRESH_EVERY_S + GrpcSettings().access_recheck_s <= 10, "X2: also for open streams"
    monkeypatch.setattr(tokens, "REFRESH_EVERY_S", 0.3)
    async with House(tmp_path) as house:
        name = await house.workflow("w")
        worker, other = await house.worker(name), await house.worker(name, token=house.theirs)
        run_id = await house.trigger(name)
        streams = [
            worker.stream,
            house.open("/Dispatcher/SubscribeToWorkflowEvents", wire.SubscribeToWorkflowEventsRequest(workflow_run_id=run_id)),
            house.channel.stream_stream("/Dispatcher/SubscribeToWorkflowRuns")(
                metadata=(("authorization", f"bearer {house.mine}"),)
            ),
        ]
        for stream in streams:
            await stream.initial_metadata()
        await house.process.store.put_token(house.my_token._replace(revoked_at=1))
        for stream in streams:
            assert await status_of(stream) == INVALID
        assert await house.status("/Dispatcher/Heartbeat", wire.HeartbeatRequest(worker_id=worker.id)) == INVALID
        assert (await house.rest("GET", "/stable/workflow-runs/" + run_id)).status_code == 403
        assert not other.stream.done(), "the other tenant keeps its stream"
        other.stream.cancel()
        await house.is_alive(token=house.theirs)


async def test_R35_while_nobody_can_read_the_tokens_nobody_is_called_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with House(tmp_path) as house:
        worker = await house.worker("a")
        monkeypatch.setattr(tokens, "STALE_AFTER_S", -1.0)  # as if the table had been silent for a minute
        code, says = await house.status("/WorkflowService/TriggerWorkflow", triggers.TriggerWorkflowRequest(name="w"))
        assert code is S.UNAVAILABLE
        assert "the table of API tokens cannot be read right now: try again" in says
        assert (await house.rest("GET", "/tenants/{tenant}")).status_code == 503
        monkeypatch.undo()
        assert not worker.stream.done()
        await worker.leave()
        await house.is_alive()


class TestDevelopmentMode:
    """No token is asked for; so no web page may be what is calling (X9)."""

    @pytest.fixture
    async def dev(self, tmp_path: Path) -> AsyncIterator[House]:
        async with House(tmp_path, is_dev=True) as one:
            yield one

    @pytest.mark.asyncio(loop_scope="function")
    async def test_X_CSRF_what_a_foreign_page_could_send_starts_nothing(self, dev: House) -> None:
        name = await dev.workflow("w")
        path, body = f"/api/v1/stable/tenants/{MINE}/workflow-runs/trigger", json.dumps({"workflowName": name, "input": {}})
        good = {"content-type": "application/json"}
        for headers, status, says in (
            (good | {"host": "evil.example"}, 421, "answers only to localhost"),
            (good | {"host": "127.0.0.1.evil.example"}, 421, "answers only to localhost"),
            (good | {"origin": "https://evil.example"}, 403, "takes no calls from pages of https://evil.example"),
            (good | {"origin": "null"}, 403, "takes no calls from pages of null"),
            (good | {"origin": "http://localhost:1"}, 403, "takes no calls from pages of"),
            (good | {"sec-fetch-site": "cross-site"}, 403, "takes no calls from pages of another site"),
            ({"content-type": "text/plain"}, 415, "application/json"),
            ({"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
            ({}, 415, "application/json"),
        ):
            answer = await dev.http.post(path, content=body, headers=headers)
            assert answer.status_code == status, (headers, answer.text)
            assert says in sentences(answer)
        assert await dev.run_count() == 0
        preflight = await dev.http.options(
            path, headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
        )
        assert "access-control-allow-origin" not in preflight.headers
        assert (await dev.http.post(path, content=body, headers=good)).status_code == 200
        await dev.is_alive(token="")

    @pytest.mark.asyncio(loop_scope="function")
    async def test_a_page_cannot_speak_to_the_grpc_port(self, dev: House) -> None:
        """A form post is HTTP/1.1: the port answers it with nothing a page could read, and starts nothing."""
        async with httpx.AsyncClient(timeout=20) as browser:
            with pytest.raises(httpx.HTTPError):
                await browser.post(f"http://{dev.grpc_address}/WorkflowService/TriggerWorkflow", content=b"x=y")
        assert await dev.run_count() == 0
        await dev.is_alive(token="")
