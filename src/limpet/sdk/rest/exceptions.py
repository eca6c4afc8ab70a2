"""Errors of the REST interface.

OpenApiException
└── ApiException                     any answer that is no success; carries status, reason, body, headers
    ├── BadRequestException 400      ├── UnauthorizedException 401    ├── ForbiddenException 403
    ├── NotFoundException 404        ├── ConflictException 409        ├── UnprocessableEntityException 422
    ├── TooManyRequestsException 429 ├── ServiceException 5xx
    └── RestTransportError           no answer at all: timeout, connection, TLS, protocol (status 0)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class OpenApiException(Exception):
    """Base of all errors of the REST interface."""


class ApiException(OpenApiException):
    """An answer that is no success."""

    def __init__(
        self,
        status: int | None = None,
        reason: str | None = None,
        *,
        body: str | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.body = body
        self.data = data
        self.headers: dict[str, str] = dict(headers or {})

    def __str__(self) -> str:
        return f"({self.status}) {self.reason}" + (f": {self.body}" if self.body else "")


class BadRequestException(ApiException):
    """The request cannot be understood (400)."""


class UnauthorizedException(ApiException):
    """The token is missing or wrong (401)."""


class ForbiddenException(ApiException):
    """The token does not allow this (403)."""


class NotFoundException(ApiException):
    """There is no such thing (404)."""


class ConflictException(ApiException):
    """It collides with something that exists (409)."""


class UnprocessableEntityException(ApiException):
    """The request is well-formed and makes no sense (422)."""


class TooManyRequestsException(ApiException):
    """Slow down (429)."""


class ServiceException(ApiException):
    """The engine failed (5xx)."""


class RestTransportError(ApiException):
    """No answer was received."""


class RestTimeoutError(RestTransportError):
    """The answer did not come in time."""


class RestConnectionError(RestTransportError):
    """The engine could not be reached."""


class RestTLSError(RestTransportError):
    """The connection could not be secured."""


class RestProtocolError(RestTransportError):
    """The answer was no HTTP."""


_BY_STATUS: dict[int, type[ApiException]] = {
    400: BadRequestException,
    401: UnauthorizedException,
    403: ForbiddenException,
    404: NotFoundException,
    409: ConflictException,
    422: UnprocessableEntityException,
    429: TooManyRequestsException,
}


def exception_type(status: int) -> type[ApiException]:
    """The exception for a status code that is no success."""
    if 500 <= status <= 599:
        return ServiceException
    return _BY_STATUS.get(status, ApiException)
