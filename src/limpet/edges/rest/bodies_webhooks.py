"""The bodies of requests about webhooks."""

from __future__ import annotations

import msgspec

from limpet.core.errors import InvalidArgument
from limpet.edges.rest.bodies import Name, Text
from limpet.edges.webhooks.kinds import Algorithm, Auth, AuthKind, Encoding, Source


class BasicAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """V1WebhookBasicAuth."""

    username: Text
    password: str

    def auth(self) -> Auth:
        """For the edge that takes posts."""
        return Auth(AuthKind.BASIC, self.password.encode(), username=self.username)


class ApiKeyAuth(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """V1WebhookAPIKeyAuth."""

    header_name: Name
    api_key: str

    def auth(self) -> Auth:
        """For the edge that takes posts."""
        return Auth(AuthKind.API_KEY, self.api_key.encode(), header=self.header_name)


class HmacAuth(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """V1WebhookHMACAuth."""

    algorithm: Algorithm
    encoding: Encoding
    signature_header_name: Text
    signing_secret: str

    def auth(self) -> Auth:
        """For the edge that takes posts."""
        return Auth(
            AuthKind.HMAC, self.signing_secret.encode(), header=self.signature_header_name, algorithm=self.algorithm,
            encoding=self.encoding,
        )  # fmt: skip


AUTHS: dict[AuthKind, type[BasicAuth] | type[ApiKeyAuth] | type[HmacAuth]] = {
    AuthKind.BASIC: BasicAuth,
    AuthKind.API_KEY: ApiKeyAuth,
    AuthKind.HMAC: HmacAuth,
}


class WebhookBody(msgspec.Struct, frozen=True, rename="camel"):
    """V1CreateWebhookRequest: `authType` says of which kind `auth` is."""

    source_name: Source
    name: Name
    event_key_expression: str
    auth_type: AuthKind
    auth: msgspec.Raw
    scope_expression: str | None = None
    static_payload: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    return_event_as_response_payload: bool | None = None

    def credentials(self) -> Auth:
        """What posts must show. Raises InvalidArgument for an object of another kind (F8.17)."""
        try:
            return msgspec.json.decode(self.auth, type=AUTHS[self.auth_type]).auth()
        except msgspec.MsgspecError as error:
            raise InvalidArgument(f"auth is not what authType {self.auth_type} needs: {error}") from None


class WebhookChange(msgspec.Struct, frozen=True, rename="camel"):
    """V1UpdateWebhookRequest: what is absent or null stays; an empty scope expression takes it away."""

    event_key_expression: str | None = None
    scope_expression: str | None = None
    static_payload: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    return_event_as_response_payload: bool | None = None
