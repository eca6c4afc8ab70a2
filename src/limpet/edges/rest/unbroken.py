"""The outermost net: a bug answers 500 with a reference, and the log has the rest (X24)."""

from __future__ import annotations

import logging
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limpet.edges.rest.problems import problem
from limpet.edges.rest.status import INTERNAL

_log = logging.getLogger(__name__)


class Unbroken:
    """Turns an exception that nobody expected into an answer without stack, SQL or path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; an answer that has begun already can only be cut off."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            reference = str(uuid4())
            _log.exception("an HTTP call broke the engine's edge", extra={"event": "http.broken", "reference": reference})
            if begun:
                raise
            await problem(INTERNAL, f"the engine could not answer: a bug of ours; its log tells more under {reference}")(
                scope, receive, send
            )
