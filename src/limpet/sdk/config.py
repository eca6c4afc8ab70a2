"""Settings of a client: from arguments, the environment, `.env` files and the token, in this order.

Every variable has three names, looked up in this order: `LIMPET_X`, `LIMPET_CLIENT_X`, `HATCHET_CLIENT_X`. Without
any of them the client looks for `limpet dev` on loopback; it does so at the first call, so that task functions can
be imported and unit-tested where no engine is.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from limpet.sdk.telemetry.attributes import OTelAttribute

DEV_GRPC_ADDRESS = "127.0.0.1:7077"  # where `limpet dev` listens
DEV_SERVER_URL = "http://127.0.0.1:8888"
DEV_TENANT_ID = "707d0855-80ab-4e1f-a156-f1c4546cbf52"  # the tenant of every first start

GRPC_MESSAGE_BYTES_MAX = 4 * 1024 * 1024  # the engine's own limit
LOG_QUEUE_SIZE = 1_000  # some seconds of a chatty task; beyond it lines are dropped, tasks never wait
HEALTHCHECK_PORT = 8001
LOOP_BLOCKED_UNHEALTHY_S = 5.0
SYNC_RESULT_POLL_INTERVAL_S = 1.0

_ENV_FILES = (".env", ".env.hatchet", ".env.limpet", ".env.dev", ".env.local")
_PREFIXES = ("LIMPET_", "LIMPET_CLIENT_", "HATCHET_CLIENT_")
_LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1", "[::1]"}


def _env(name: str) -> AliasChoices:
    return AliasChoices(*(prefix + name for prefix in _PREFIXES))


_SETTINGS = SettingsConfigDict(env_file=_ENV_FILES, extra="ignore", populate_by_name=True, arbitrary_types_allowed=True)


class ClientTLSConfig(BaseSettings):
    """How the gRPC channel is secured. `strategy` is `tls`, `mtls` or `none`; empty: decided by the address."""

    model_config = _SETTINGS

    strategy: str = Field(default="", validation_alias=_env("TLS_STRATEGY"))
    cert_file: str | None = Field(default=None, validation_alias=_env("TLS_CERT_FILE"))
    key_file: str | None = Field(default=None, validation_alias=_env("TLS_KEY_FILE"))
    root_ca_file: str | None = Field(default=None, validation_alias=_env("TLS_ROOT_CA_FILE"))
    server_name: str = Field(default="", validation_alias=_env("TLS_SERVER_NAME"))


class HealthcheckConfig(BaseSettings):
    """The worker's health endpoint: off unless enabled."""

    model_config = _SETTINGS

    port: int = Field(default=HEALTHCHECK_PORT, validation_alias=_env("WORKER_HEALTHCHECK_PORT"))
    enabled: bool = Field(default=False, validation_alias=_env("WORKER_HEALTHCHECK_ENABLED"))
    event_loop_block_threshold_seconds: float = Field(
        default=LOOP_BLOCKED_UNHEALTHY_S, validation_alias=_env("WORKER_HEALTHCHECK_EVENT_LOOP_BLOCK_THRESHOLD_SECONDS")
    )
    bind_address: str | None = Field(default="0.0.0.0", validation_alias=_env("WORKER_HEALTHCHECK_BIND_ADDRESS"))

    @field_validator("event_loop_block_threshold_seconds", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return value.strip().removesuffix("s") if isinstance(value, str) else value

    @field_validator("bind_address", mode="before")
    @classmethod
    def _address(cls, value: object) -> object:
        return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


class HTTPMethod(StrEnum):
    """HTTP methods, as used by `TenacityConfig.retry_transport_methods`."""

    GET = "GET"
    DELETE = "DELETE"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"


class TenacityConfig(BaseSettings):
    """How often and when the client repeats a call.

    max_attempts: 0 or less turns repeating off
    wait:         a tenacity wait strategy, or a callable that makes one; exponential from 1 s with jitter when left out
    before_sleep: called with tenacity's retry state before each wait
    """

    model_config = _SETTINGS

    max_attempts: int = Field(default=5, validation_alias=_env("TENACITY_MAX_ATTEMPTS"))
    retry_429: bool = Field(default=False, validation_alias=_env("TENACITY_RETRY_429"))
    retry_not_found: bool = Field(default=False, validation_alias=_env("TENACITY_RETRY_NOT_FOUND"))
    retry_transport_errors: bool = Field(default=False, validation_alias=_env("TENACITY_RETRY_TRANSPORT_ERRORS"))
    retry_transport_methods: list[HTTPMethod] = Field(
        default_factory=lambda: [HTTPMethod.GET, HTTPMethod.DELETE],
        validation_alias=_env("TENACITY_RETRY_TRANSPORT_METHODS"),
    )
    wait: Any = Field(default=None, validation_alias=AliasChoices("wait"))
    before_sleep: Callable[[Any], None] | None = Field(default=None, validation_alias=AliasChoices("before_sleep"))


class OpenTelemetryConfig(BaseSettings):
    """What traces tell, where `limpet.opentelemetry` makes them.

    excluded_attributes: what no span carries, such as inputs
    """

    model_config = _SETTINGS

    excluded_attributes: list[OTelAttribute] = Field(
        default_factory=list, validation_alias=_env("OPENTELEMETRY_EXCLUDED_ATTRIBUTES")
    )
    include_task_name_in_start_step_run_span_name: bool = Field(
        default=False, validation_alias=_env("OPENTELEMETRY_INCLUDE_TASK_NAME_IN_START_STEP_RUN_SPAN_NAME")
    )
    individual_run_spans_for_bulk_run: bool = Field(
        default=False, validation_alias=_env("OPENTELEMETRY_INDIVIDUAL_RUN_SPANS_FOR_BULK_RUN")
    )


class TokenClaims(BaseModel):
    """What a client reads from its token. Nothing is verified here: the engine does that."""

    sub: str
    server_url: str = ""
    grpc_broadcast_address: str = ""


class ClientConfig(BaseSettings):
    """Settings of a client. Every field can be given as an argument or as an environment variable."""

    model_config = _SETTINGS

    token: str = Field(default="", validation_alias=_env("TOKEN"))
    logger: logging.Logger = Field(default_factory=logging.getLogger, validation_alias=AliasChoices("logger"))
    debug: bool = Field(default=False, validation_alias=_env("DEBUG"))
    tenant_id: str = Field(default="", validation_alias=_env("TENANT_ID"))
    host_port: str = Field(default="", validation_alias=_env("HOST_PORT"))
    server_url: str = Field(default="", validation_alias=_env("SERVER_URL"))
    namespace: str = Field(default="", validation_alias=_env("NAMESPACE"))
    tls_config: ClientTLSConfig = Field(default_factory=ClientTLSConfig)
    healthcheck: HealthcheckConfig = Field(default_factory=HealthcheckConfig)
    otel: OpenTelemetryConfig = Field(default_factory=OpenTelemetryConfig)
    listener_v2_timeout: int | None = Field(default=None, validation_alias=_env("LISTENER_V2_TIMEOUT"))
    grpc_max_recv_message_length: int = Field(
        default=GRPC_MESSAGE_BYTES_MAX, validation_alias=_env("GRPC_MAX_RECV_MESSAGE_LENGTH")
    )
    grpc_max_send_message_length: int = Field(
        default=GRPC_MESSAGE_BYTES_MAX, validation_alias=_env("GRPC_MAX_SEND_MESSAGE_LENGTH")
    )
    worker_preset_labels: dict[str, str] = Field(default_factory=dict, validation_alias=_env("WORKER_PRESET_LABELS"))
    enable_force_kill_sync_threads: bool = Field(default=False, validation_alias=_env("ENABLE_FORCE_KILL_SYNC_THREADS"))
    enable_thread_pool_monitoring: bool = Field(default=False, validation_alias=_env("ENABLE_THREAD_POOL_MONITORING"))
    terminate_worker_after_num_tasks: int | None = Field(default=None, validation_alias=_env("TERMINATE_WORKER_AFTER_NUM_TASKS"))
    disable_log_capture: bool = Field(default=False, validation_alias=_env("DISABLE_LOG_CAPTURE"))
    log_queue_size: int = Field(default=LOG_QUEUE_SIZE, validation_alias=_env("LOG_QUEUE_SIZE"))
    force_shutdown_on_shutdown_signal: bool = Field(default=False, validation_alias=_env("FORCE_SHUTDOWN_ON_SHUTDOWN_SIGNAL"))
    tenacity: TenacityConfig = Field(default_factory=TenacityConfig)
    sync_result_poll_interval: float = Field(
        default=SYNC_RESULT_POLL_INTERVAL_S, validation_alias=_env("SYNC_RESULT_POLL_INTERVAL")
    )

    @field_validator("namespace")
    @classmethod
    def _namespace(cls, value: str) -> str:
        lowered = value.lower()
        return f"{lowered}_" if lowered and not lowered.endswith("_") else lowered

    @model_validator(mode="after")
    def _complete(self) -> ClientConfig:
        """Fill in what the arguments and the environment left open: from the token, else from `limpet dev`."""
        claims = read_claims(self.token) if self.token else TokenClaims(sub=DEV_TENANT_ID)
        self._looks_for_dev = not (self.token or self.host_port)
        self.tenant_id = self.tenant_id or claims.sub
        self.host_port = self.host_port or claims.grpc_broadcast_address or DEV_GRPC_ADDRESS
        self.server_url = (self.server_url or claims.server_url or DEV_SERVER_URL).rstrip("/")
        self.tls_config = self.tls_config.model_copy(update=self._completed_tls())
        return self

    _looks_for_dev: bool = False

    @property
    def looks_for_dev(self) -> bool:
        """Whether nothing was configured, so that `limpet dev` on this machine is meant."""
        return self._looks_for_dev

    def apply_namespace(self, name: str) -> str:
        """The name with the namespace in front, not twice."""
        return with_prefix(name, self.namespace)

    def _completed_tls(self) -> dict[str, str]:
        host = self.host_port.rpartition(":")[0] or self.host_port
        plain = host in _LOOPBACK_HOSTS and not self.server_url.startswith("https://")
        strategy = self.tls_config.strategy or ("none" if plain else "tls")
        return {"strategy": strategy, "server_name": self.tls_config.server_name or host or "localhost"}


def with_prefix(name: str, prefix: str) -> str:
    """The name with the prefix in front, not twice."""
    return name if name.startswith(prefix) else prefix + name


def read_claims(token: str) -> TokenClaims:
    """The claims in a token's payload. Raises ValueError for a text that is no token."""
    parts = token.split(".")
    if not token.startswith("ey") or len(parts) != 3:
        raise ValueError("The token is no API token: it must start with 'ey' and have three parts separated by dots.")
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return TokenClaims.model_validate(payload)
    except ValueError as error:
        raise ValueError(f"The payload of the token cannot be read: {error}") from error
