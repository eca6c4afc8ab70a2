"""The address that takes posts of other services: who posts needs no token, but the webhook's own credentials.

Laws (X4, X20):
1. Order: rate, size, webhook, credentials, replay, body, expressions, push. Whoever is not let in is told nothing else.
2. An unknown tenant, an unknown name and wrong credentials are answered with the same bytes.
3. A post becomes one event or none. A signature names its event, so that the same post stays one event also after a restart
   and when it comes twice at the same time; a signature over no time counts anew after ten minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from limpet.core.errors import LimpetError
from limpet.core.event_inputs import ExpressionFailed, ExpressionFailure
from limpet.core.event_rows import FailureSource
from limpet.core.ids import SECOND_US, TenantId, TenantNo
from limpet.core.webhook_rows import WebhookRow
from limpet.edges.events import NewEvent, push
from limpet.edges.http.bodies import BoundedBodies
from limpet.edges.http.rates import CallRates
from limpet.edges.repeatable import repeatable_id
from limpet.edges.rest.facts import RestFacts
from limpet.edges.rest.problems import problem, problem_of
from limpet.edges.rest.status import BAD_REQUEST, CONFLICT, FORBIDDEN, INTERNAL, TOO_MANY, UNAVAILABLE
from limpet.edges.signing import SigningKeyError
from limpet.edges.vault import SealBroken
from limpet.edges.webhooks import content, proof
from limpet.edges.webhooks.kinds import SIGNED_WITH_TIME, Source, auth_of
from limpet.edges.webhooks.replays import KEPT_S, request_ids
from limpet.engine.door import Door
from limpet.store.api import EventQuery, StoreError

PATH = "/api/v1/stable/tenants/{tenant}/webhooks/{name}"
POST_BYTES_MAX = 1024 * 1024  # of one body [X20]
REFUSALS_TOLD_PER_SECOND = 1.0  # in the log, of all addresses together
POSTS_PER_SECOND = 100.0  # to one address, whoever posts [X20]
REFUSED = "the webhook does not exist, or the credentials are wrong"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a post goes."""

    tenant: TenantId
    tenant_no: TenantNo
    row: WebhookRow


class Receiving:
    """Takes posts. An ASGI application for the one route."""

    def __init__(self, door: Door, facts: RestFacts, posts_per_second: float | None = POSTS_PER_SECOND) -> None:
        self._door, self._facts = door, facts
        self._rates = CallRates(posts_per_second)
        self._lines = CallRates(REFUSALS_TOLD_PER_SECOND)
        self._unsaid = 0
        self._bounded: ASGIApp = BoundedBodies(self._answer, bytes_max=POST_BYTES_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429 before a body is read, pass on what is within the rate."""
        if not self._rates.take(str(scope["path"])):
            refusal = problem(TOO_MANY, f"more than {self._rates.per_second:g} posts a second: slow down", {"retry-after": "1"})
            return await refusal(scope, receive, send)
        await self._bounded(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        post = proof.Post(content.first_values(request.headers.items()), await request.body())
        try:
            answer = await self._taken(request.path_params["tenant"], request.path_params["name"], post)
        except proof.Refused:
            self._tell_refusal(str(scope["path"])[:300])
            answer = problem(FORBIDDEN, REFUSED)
        except LimpetError as error:
            answer = problem_of(error)
        except StoreError:
            answer = problem(UNAVAILABLE, "the engine's store cannot be read right now: try again")
        except (SealBroken, SigningKeyError) as error:
            _log.error("%s", error, extra={"event": "webhook.seal_broken"})
            answer = problem(INTERNAL, "the secret of this webhook cannot be read: the engine's log tells more")
        await answer(scope, receive, send)

    def _tell_refusal(self, path: str) -> None:
        """A line of the log for some of them: whoever guesses must not be able to fill the disk."""
        if not self._lines.take("refusals"):
            self._unsaid += 1
            return
        _log.warning("A post to a webhook was refused.", extra={"event": "webhook.refused", "path": path, "unsaid": self._unsaid})
        self._unsaid = 0

    async def _taken(self, tenant: str, name: str, post: proof.Post) -> Response:
        """Raises Refused, and errors of the engine."""
        address = await self._address(TenantId(tenant.lower()), name)
        row, source = address.row, Source(address.row.source)
        challenge = content.challenge_of(source, post)
        if challenge is not None:
            return Response(orjson.dumps({"challenge": challenge}), media_type="application/json")
        now_s = self._facts.clock()
        signature = proof.check(post, source, auth_of(row, self._facts.vault), now_s)
        if signature is None:
            return await self._pushed(address, post, None)
        names = request_ids(row.id, signature, now_s, is_timed=source in SIGNED_WITH_TIME)
        if await self._has_come(address, names, now_s):
            return problem(CONFLICT, "this very post has been taken already: a signature counts once")
        return await self._pushed(address, post, names[0])

    async def _has_come(self, address: _Address, names: Sequence[str], now_s: float) -> bool:
        """Whether an event of such a name was stored in the last ten minutes, by whichever server."""
        ids = [repeatable_id(address.tenant, name) for name in names]
        records, _ = await self._door.reader.pushed_events(address.tenant_no, EventQuery(ids=ids))
        return any(record.event.created_at > (now_s - KEPT_S) * SECOND_US for record in records)

    async def _address(self, tenant: TenantId, name: str) -> _Address:
        tenant_no = self._door.tenant_no(tenant)
        rows = () if tenant_no is None else await self._door.reader.webhooks(tenant_no)
        for row in rows:
            if row.name == name and tenant_no is not None:
                return _Address(tenant, tenant_no, row)
        raise proof.Refused

    async def _pushed(self, address: _Address, post: proof.Post, request_id: str | None) -> Response:
        """The event, or 400 with what is wrong about the body or the expressions."""
        row, settings = address.row, self._facts.settings
        try:
            event = await asyncio.to_thread(self._read, row, post)
        except content.Unusable as error:
            failure = ExpressionFailure(row.name, str(error))
            await self._door.submit(address.tenant, ExpressionFailed(FailureSource.WEBHOOK, failure))
            return problem(BAD_REQUEST, str(error))
        (pushed,) = await push(self._door, address.tenant, [event], settings, request_id)
        return await self._shown(address, pushed.id)

    def _read(self, row: WebhookRow, post: proof.Post) -> NewEvent:
        """Beside the loop: a body may have a megabyte, and an expression may look at all of it."""
        return content.new_event(row, content.body_of(Source(row.source), post, self._facts.settings), post)

    async def _shown(self, address: _Address, event_id: str) -> Response:
        """F8.14."""
        if not address.row.returns_event:
            return Response(status_code=204)
        from limpet.edges.rest.answers import as_json  # pydantic's models, lazily
        from limpet.edges.rest.shown_events import event_shown

        records, _ = await self._door.reader.pushed_events(address.tenant_no, EventQuery(ids=[event_id]))
        event = event_shown(address.tenant, records[0]) if records else None
        return Response(as_json({"message": "ok", "event": event}), media_type="application/json")
