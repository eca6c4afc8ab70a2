"""REST models of webhooks."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from limpet.sdk.rest.common import APIResourceMeta, PaginationResponse, RestModel


class V1WebhookSourceName(StrEnum):
    """Values of `V1WebhookSourceName`."""

    GENERIC = "GENERIC"
    GITHUB = "GITHUB"
    STRIPE = "STRIPE"
    SLACK = "SLACK"
    LINEAR = "LINEAR"
    SVIX = "SVIX"


class V1WebhookAuthType(StrEnum):
    """Values of `V1WebhookAuthType`."""

    BASIC = "BASIC"
    API_KEY = "API_KEY"
    HMAC = "HMAC"


class V1WebhookHMACAlgorithm(StrEnum):
    """Values of `V1WebhookHMACAlgorithm`."""

    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"
    MD5 = "MD5"


class V1WebhookHMACEncoding(StrEnum):
    """Values of `V1WebhookHMACEncoding`."""

    HEX = "HEX"
    BASE64 = "BASE64"
    BASE64URL = "BASE64URL"


class V1WebhookBasicAuth(RestModel):
    """REST model `V1WebhookBasicAuth`."""

    username: str
    password: str = Field(repr=False)


class V1WebhookAPIKeyAuth(RestModel):
    """REST model `V1WebhookAPIKeyAuth`."""

    header_name: str
    api_key: str = Field(repr=False)


class V1WebhookHMACAuth(RestModel):
    """REST model `V1WebhookHMACAuth`."""

    algorithm: V1WebhookHMACAlgorithm
    encoding: V1WebhookHMACEncoding
    signature_header_name: str
    signing_secret: str = Field(repr=False)


class V1Webhook(RestModel):
    """REST model `V1Webhook`."""

    metadata: APIResourceMeta
    tenant_id: str
    name: str
    source_name: V1WebhookSourceName
    event_key_expression: str
    scope_expression: str | None = None
    static_payload: dict[str, Any] | None = None
    auth_type: V1WebhookAuthType
    return_event_as_response_payload: bool | None = None


class V1WebhookList(RestModel):
    """REST model `V1WebhookList`."""

    pagination: PaginationResponse | None = None
    rows: list[V1Webhook] | None = None
