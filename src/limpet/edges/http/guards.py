"""What stands in front of every HTTP call: security headers, and in development mode a check of who sent it.

A development engine asks for no token, so a web page that a developer happens to visit must not be able to speak
to it: the Host must be a loopback name (DNS rebinding), the Origin must be the engine's own, and a state-changing
call must carry JSON, or a token and nothing else: neither can a page of another origin send without asking first
(design section 3, X9).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limpet.edges.rest.problems import problem
from limpet.edges.rest.status import FORBIDDEN, MISDIRECTED, UNSUPPORTED_MEDIA_TYPE

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODILESS_METHODS = frozenset({"DELETE"})  # official clients send these without a content type
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FOREIGN_SITES = frozenset({"cross-site", "same-site"})  # values of Sec-Fetch-Site that a page of another origin causes
WEBHOOK = re.compile(r"/api/v1/stable/tenants/[^/]+/webhooks/[^/]+")
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",  # JSON; pages bring their own
    "cache-control": "no-store",
}
TRANSPORT_SECURITY = "max-age=31536000"  # a year, for an engine that speaks TLS itself [X14]


class SecurityHeaders:
    """Adds the headers of X14 to every answer that does not bring its own."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        self._headers = SECURITY_HEADERS | ({"strict-transport-security": TRANSPORT_SECURITY} if tls else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and complete the head of the answer."""

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, complete if scope["type"] == "http" else send)


class LocalCallersOnly:
    """Development mode: refuses what a foreign web page could have sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer foreign calls here, pass on the others."""
        refusal = None if scope["type"] != "http" else refusal_of(str(scope["method"]), Headers(scope=scope), str(scope["path"]))
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await problem(*refusal)(scope, receive, send)


def refusal_of(method: str, headers: Headers, path: str = "") -> tuple[int, str] | None:
    """Status and sentence for a call that a development engine does not take; None when it is fine."""
    host = headers.get("host", "")
    if host_name(host) not in LOOPBACK_NAMES:
        return MISDIRECTED, f"a development engine answers only to localhost, not to the host name {host!r}: use `limpet server`"
    origin = headers.get("origin")
    if origin is not None and not is_own_origin(origin, host):
        return (
            FORBIDDEN,
            f"a development engine takes no calls from pages of {origin}: call it from a program, or from its own pages",
        )
    if headers.get("sec-fetch-site") in FOREIGN_SITES:
        return FORBIDDEN, "a development engine takes no calls from pages of another site"
    if takes_forms(path):  # a post to a webhook shows credentials of its own, which a page does not have
        return None
    if method not in SAFE_METHODS and not is_json(headers.get("content-type"), method) and not is_token_alone(headers):
        return UNSUPPORTED_MEDIA_TYPE, "a call that changes something needs the header `Content-Type: application/json`"
    return None


def takes_forms(path: str) -> bool:
    """Whether other services post there, in whatever form they do."""
    return WEBHOOK.fullmatch(path) is not None


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty when it is unreadable."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_own_origin(origin: str, host: str) -> bool:
    """Whether a page of that origin was served by this very host and port."""
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    return found.scheme in ("http", "https") and found.netloc.lower() == host.lower()


def is_json(content_type: str | None, method: str) -> bool:
    """Whether the content type is JSON; a call without a body need not name one."""
    if content_type is None:
        return method in BODILESS_METHODS
    return content_type.partition(";")[0].strip().lower() == "application/json"


def is_token_alone(headers: Headers) -> bool:
    """Whether the call brings a token and no body; the TypeScript client 1.33.2 calls an empty body a form."""
    return "authorization" in headers and headers.get("content-length") == "0"
