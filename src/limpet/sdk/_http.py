"""Calls of the REST interface, for threads and for event loops.

Law: only reads are repeated, when the engine failed (5xx), and where configured also after 404, 429 and transport
errors.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import tenacity

from limpet.sdk._transport import find_dev_engine, standard_retries
from limpet.sdk.config import ClientConfig, HTTPMethod
from limpet.sdk.rest.exceptions import (
    ApiException,
    RestConnectionError,
    RestProtocolError,
    RestTimeoutError,
    RestTLSError,
    RestTransportError,
    ServiceException,
    exception_type,
)

Query = Mapping[str, Any]

_NO_TIMEOUT = None  # listing a large history may take long; callers that cannot wait pass a limit


class RestCalls:
    """JSON in, parsed JSON out. Raises ApiException's children."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._client: httpx.Client | None = None

    def request(
        self, method: HTTPMethod, path: str, *, query: Query | None = None, body: Any = None, timeout_s: float | None = None
    ) -> Any:
        """Call and wait in this thread. Returns parsed JSON, text for other types, None for an empty answer."""
        if self._client is None:
            self._find_engine()
            self._client = httpx.Client(**self._options())
        client = self._client

        def once() -> Any:
            return _read(_guarded(lambda: client.request(method.value, path, **_arguments(query, body, timeout_s))))

        return tenacity.Retrying(**self._retry_options(method))(once)

    async def arequest(
        self, method: HTTPMethod, path: str, *, query: Query | None = None, body: Any = None, timeout_s: float | None = None
    ) -> Any:
        """Call and await. Returns parsed JSON, text for other types, None for an empty answer."""
        if self._config.looks_for_dev:
            self._find_engine()

        async def once() -> Any:
            async with httpx.AsyncClient(**self._options()) as client:
                answer = client.request(method.value, path, **_arguments(query, body, timeout_s))
                return _read(await _aguarded(lambda: answer))

        return await tenacity.AsyncRetrying(**self._retry_options(method))(once)

    def _find_engine(self) -> None:
        if self._config.looks_for_dev:
            find_dev_engine(self._config.server_url)

    def _options(self) -> dict[str, Any]:
        token, tls = self._config.token, self._config.tls_config
        headers = {"authorization": f"Bearer {token}"} if token else {}
        is_tls = self._config.server_url.startswith("https")  # reading the root certificates takes 20 ms
        verify = ssl.create_default_context(cafile=tls.root_ca_file) if tls.root_ca_file and is_tls else is_tls
        return {"base_url": self._config.server_url, "headers": headers, "verify": verify, "timeout": _NO_TIMEOUT}

    def _retry_options(self, method: HTTPMethod) -> dict[str, Any]:
        retries = standard_retries(self._config.tenacity)
        return {
            "stop": tenacity.stop_after_attempt(retries.attempts),
            "wait": retries.wait,
            "retry": tenacity.retry_if_exception(lambda error: self._may_repeat(method, error)),
            "before_sleep": retries.before_sleep,
            "reraise": True,
        }

    def _may_repeat(self, method: HTTPMethod, error: BaseException) -> bool:
        settings = self._config.tenacity
        if isinstance(error, RestTransportError):
            return settings.retry_transport_errors and method in settings.retry_transport_methods
        if not isinstance(error, ApiException) or method is not HTTPMethod.GET:
            return False
        if error.status in (404, 429):
            return settings.retry_not_found if error.status == 404 else settings.retry_429
        return isinstance(error, ServiceException)


def _arguments(query: Query | None, body: Any, timeout_s: float | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {"params": _clean(query or {}), "timeout": timeout_s}
    return arguments | {"json": body} if body is not None else arguments


def _clean(query: Query) -> dict[str, Any]:
    """Without what was not asked for; booleans as the engine reads them."""
    return {key: str(value).lower() if isinstance(value, bool) else value for key, value in query.items() if value is not None}


def _read(answer: httpx.Response) -> Any:
    if not answer.is_success:
        raise exception_type(answer.status_code)(
            answer.status_code, answer.reason_phrase, body=answer.text, headers=answer.headers
        )
    if not answer.content:
        return None
    return answer.json() if "json" in answer.headers.get("content-type", "json") else answer.text


def _guarded(call: Callable[[], httpx.Response]) -> httpx.Response:
    try:
        return call()
    except httpx.HTTPError as error:
        raise _transport_error(error) from error


async def _aguarded(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    try:
        return await call()
    except httpx.HTTPError as error:
        raise _transport_error(error) from error


def _transport_error(error: httpx.HTTPError) -> RestTransportError:
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.TimeoutException):
        return RestTimeoutError(0, reason)
    if isinstance(error, httpx.ConnectError):
        return RestTLSError(0, reason) if "SSL" in str(error) or "certificate" in str(error) else RestConnectionError(0, reason)
    if isinstance(error, httpx.ProtocolError):
        return RestProtocolError(0, reason)
    return RestConnectionError(0, reason)
