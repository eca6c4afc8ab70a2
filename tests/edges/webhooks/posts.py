"""Posts as each source signs them, for tests that then break them."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass

from limpet.edges.webhooks.kinds import Algorithm, Auth, AuthKind, Encoding, Source

SECRET = b"a secret that both sides know"
SVIX_KEY = b"0123456789abcdef01234567"
SVIX_SECRET = b"whsec_" + base64.b64encode(SVIX_KEY)
SIGNATURE = "x-signature"


@dataclass(frozen=True)
class Sender:
    """A source with credentials that it has."""

    source: Source
    auth: Auth

    @property
    def signs_time(self) -> bool:
        return self.source in (Source.STRIPE, Source.SLACK, Source.SVIX)

    @property
    def signs_body(self) -> bool:
        return self.auth.kind is AuthKind.HMAC

    def headers(self, body: bytes, at: int) -> dict[str, str]:
        """What it sends with a body."""
        match self.source:
            case Source.STRIPE:
                return {"stripe-signature": f"t={at},v1={_mac(b'%d.%s' % (at, body))}"}
            case Source.SLACK:
                signed = b"v0:%d:%s" % (at, body)
                return {"x-slack-request-timestamp": str(at), "x-slack-signature": f"v0={_mac(signed)}"}
            case Source.SVIX:
                right = base64.b64encode(hmac.digest(SVIX_KEY, b"msg_1.%d.%s" % (at, body), "sha256")).decode()
                return {"svix-id": "msg_1", "svix-timestamp": str(at), "svix-signature": f"v1,{right}"}
        return self._plain(body)

    def _plain(self, body: bytes) -> dict[str, str]:
        match self.auth.kind:
            case AuthKind.BASIC:
                return {"authorization": "Basic " + base64.b64encode(b"user:" + SECRET).decode()}
            case AuthKind.API_KEY:
                return {"x-key": SECRET.decode()}
        digest = hmac.digest(SECRET, body, self.auth.algorithm.lower())
        if self.auth.encoding is Encoding.HEX:
            return {SIGNATURE: f"{self.auth.algorithm.lower()}={digest.hex()}"}
        is_url = self.auth.encoding is Encoding.BASE64URL
        return {SIGNATURE: (base64.urlsafe_b64encode if is_url else base64.b64encode)(digest).decode()}


def _mac(signed: bytes) -> str:
    return hmac.digest(SECRET, signed, "sha256").hex()


SENDERS = (
    Sender(Source.GENERIC, Auth(AuthKind.BASIC, SECRET, username="user")),
    Sender(Source.GENERIC, Auth(AuthKind.API_KEY, SECRET, header="X-Key")),
    *(
        Sender(Source.GENERIC, Auth(AuthKind.HMAC, SECRET, header="X-Signature", algorithm=algorithm, encoding=encoding))
        for algorithm in Algorithm
        for encoding in Encoding
    ),
    Sender(Source.GITHUB, Auth(AuthKind.HMAC, SECRET, header="X-Signature")),
    Sender(Source.LINEAR, Auth(AuthKind.HMAC, SECRET, header="X-Signature")),
    Sender(Source.STRIPE, Auth(AuthKind.HMAC, SECRET)),
    Sender(Source.SLACK, Auth(AuthKind.HMAC, SECRET)),
    Sender(Source.SVIX, Auth(AuthKind.HMAC, SVIX_SECRET)),
)
