"""The REST API as the commands call it: one client, errors as sentences with exit codes."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from limpet._version import __version__
from limpet.cli import defaults
from limpet.cli.exits import CommandError, Missing, Misuse, Unreachable
from limpet.cli.tokens import read_claims

TIMEOUT_S = 30.0  # an engine that takes longer for a page of rows is in trouble, and the reader should hear of it
PAGE_MAX = 1_000  # rows asked for at once when a name is looked up

Query = Mapping[str, str | int | bool | list[str] | None]


class Api:
    """A connection to one tenant of one engine. Use it as a context manager."""

    url: str
    tenant: str

    def __init__(self, url: str | None, token: str | None) -> None:
        claims = read_claims(token) if token else None
        self.url = (url or (claims.server_url if claims else "") or defaults.DEV_URL).rstrip("/")
        self.tenant = claims.tenant_id if claims else str(defaults.TENANT_ID)
        headers = {"user-agent": f"limpet-cli/{__version__}"} | ({"authorization": f"Bearer {token.strip()}"} if token else {})
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S)
        except (httpx.InvalidURL, ValueError) as error:
            raise no_address(self.url, error) from error

    def __enter__(self) -> Api:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, query: Query | None = None) -> Any:
        """The JSON answer. `{tenant}` in the path is filled in."""
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("POST", path, body=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("PATCH", path, body=body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("PUT", path, body=body)

    def delete(self, path: str, query: Query | None = None) -> Any:
        return self._call("DELETE", path, query=query)

    def _call(self, method: str, path: str, *, query: Query | None = None, body: Mapping[str, Any] | None = None) -> Any:
        given = {key: value for key, value in (query or {}).items() if value not in (None, [])}
        try:
            answer = self._http.request(method, path.replace("{tenant}", self.tenant), params=given, json=body)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise no_address(self.url, error) from error
        except httpx.TransportError as error:
            raise Unreachable(
                f"No engine answers at {self.url}: {error or type(error).__name__}.",
                "Start one with `limpet dev`, name another with --url, or let `limpet doctor` look.",
            ) from error
        check(answer)
        return answer.json() if answer.content else None


def no_address(url: str, error: Exception) -> Misuse:
    """What is wrong with a URL, and how one looks."""
    return Misuse(f"'{url}' is no HTTP address: {str(error).rstrip('.')}.", f"Write it like {defaults.DEV_URL}")


def check(answer: httpx.Response) -> None:
    """Raise what an answer that is no success means."""
    if answer.is_success:
        return
    sentence = sentence_of(answer)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise Missing(sentence)
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise CommandError(sentence, "Hand a token over with --token or LIMPET_TOKEN; `limpet token create` makes one.")
    if answer.status_code in (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT):
        raise Unreachable(sentence, "The engine is starting, stopping or cut off from its store; try again.")
    raise CommandError(sentence)


def sentence_of(answer: httpx.Response) -> str:
    """The engine's own words about a failure, or the status line when it sent none."""
    try:
        said = answer.json()
        found = said["errors"][0]["description"]
    except (ValueError, KeyError, IndexError, TypeError):
        return f"The engine answered {answer.status_code} {answer.reason_phrase}."
    text = str(found)
    return text[:1].upper() + text[1:]
