"""Bounds on what a caller may send: bytes of a body, and time to send it (X15)."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limpet.edges.rest.problems import problem
from limpet.edges.rest.status import REQUEST_TIMEOUT, TOO_LARGE

BODY_BYTES_MAX = 4 * 1024 * 1024  # as a gRPC message: what fits one wire fits the other [X15]
BODY_TIMEOUT_S = 30.0  # 4 MiB in 30 s is 1.1 Mbit/s; who is slower holds a connection for nothing
CLOSE = {"connection": "close"}  # the rest of a refused body is not worth keeping a connection for
LINGER_S = 2.0  # how long the rest is read and dropped, so that its sender gets to read the answer
LINGER_BYTES_MAX = 64 * 1024 * 1024  # and how much of it


class BoundedBodies:
    """Reads the body of a call whole, within both bounds, then passes it on in one piece."""

    def __init__(self, app: ASGIApp, *, bytes_max: int = BODY_BYTES_MAX, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 or 408 here, pass on what fits."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            body = await asyncio.wait_for(self._read(Headers(scope=scope), receive), self._timeout_s)
        except BodyTooLarge:
            text = f"the body of the call is larger than {self._bytes_max} bytes: send less at once"
            return await lingering(problem(TOO_LARGE, text, CLOSE), receive, send)
        except TimeoutError:
            text = f"the body of the call did not arrive within {self._timeout_s:g} s: send it again"
            return await problem(REQUEST_TIMEOUT, text, CLOSE)(scope, receive, send)
        except ClientDisconnect:
            return None
        await self._app(scope, replay(body, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._bytes_max:
            raise BodyTooLarge
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._bytes_max:
                raise BodyTooLarge
            if not message.get("more_body", False):
                return b"".join(parts)


class BodyTooLarge(Exception):
    """The body passed the bound; nothing more is read."""


async def lingering(answer: Response, receive: Receive, send: Send) -> None:
    """Answer at once, but go on reading for a while before the connection is closed.

    Closing it while bytes still come would reset it, and their sender would see that instead of the answer.
    """
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": bytes(answer.body), "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            await drop_rest(receive)
    await send({"type": "http.response.body"})


async def drop_rest(receive: Receive) -> None:
    """Read until the body has ended, its sender has left, or the bound is passed."""
    size = 0
    while size <= LINGER_BYTES_MAX:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):  # also the message that says that the sender has left
            return


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out the body once, then whatever the connection says next."""
    waiting = [body]

    async def next_message() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return next_message
