"""Settings of the gRPC edge: every number with its reason. Tests shorten the patience ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limpet.core.settings import Settings

# The newest version whose promises hold: slot pools and one registration per worker (v0.78.23), but not yet the
# durable stream that clients expect from v0.80.0 on.
REPORTED_VERSION = "v0.79.0"
CLIENT_PING_SOONEST_MS = 5_000  # clients ping every 10 s, without calls too [R37]
OWN_PING_MS = 10_000  # half-open peers are found within 20 s [R37]
HANDSHAKE_MS = 10_000  # a peer that says nothing [T-SLOWLORIS]
# Calls that the library has taken and the event loop has not yet. From the first number on it cancels some by chance, from
# the second on all; its defaults (1,000 and 3,000) are less than what the slots of a fleet report when they end together.
CALLS_PENDING_MAX, CALLS_PENDING_HARD_MAX = 50_000, 100_000


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files. With `client_ca`, clients must show a certificate it signed (X13)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """What the composer may set. Seconds and bytes.

    calls_per_second: of one tenant, ten times that for calls of workers (X19); None: no limit
    """

    tls: Tls | None = None
    calls_per_second: float | None = None
    # Of open streams: with the five seconds that the table of tokens is old at most, within the ten of X2.
    access_recheck_s: float = 4.0
    unknown_run_patience_s: float = 10.0  # a run may be asked for before its trigger is visible [R36]
    heartbeat_patience_s: float = 1.0  # the first heartbeat and the stream set off together; clients allow 5 s
    limits: Settings = Settings()


def server_options(settings: GrpcSettings) -> list[tuple[str, Any]]:
    """Channel arguments of the server (R37, X15); gzip needs none, it is accepted by default."""
    return [
        ("grpc.max_receive_message_length", settings.limits.message_bytes_max),  # before and after decompression
        ("grpc.max_send_message_length", settings.limits.message_bytes_max),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", CLIENT_PING_SOONEST_MS),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_time_ms", OWN_PING_MS),
        ("grpc.keepalive_timeout_ms", OWN_PING_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
        ("grpc.server.max_pending_requests", CALLS_PENDING_MAX),
        ("grpc.server.max_pending_requests_hard_limit", CALLS_PENDING_HARD_MAX),
        ("grpc.so_reuseport", 0),  # a second engine on the port must fail, not share it
    ]
