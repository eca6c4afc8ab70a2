"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.config import ClientConfig, ClientTLSConfig, HealthcheckConfig, HTTPMethod, OpenTelemetryConfig, TenacityConfig

__all__ = ["ClientConfig", "ClientTLSConfig", "HTTPMethod", "HealthcheckConfig", "OpenTelemetryConfig", "TenacityConfig"]
