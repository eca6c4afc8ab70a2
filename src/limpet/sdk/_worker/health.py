"""The health endpoint: `/health` and `/metrics`, from a thread, so that a blocked event loop can be told (WK-38)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from limpet.sdk.config import HealthcheckConfig


@dataclass(frozen=True, slots=True)
class Health:
    """How a worker is. `slots`: pool to (used, limit)."""

    status: str
    is_healthy: bool
    loop_lag_s: float
    slots: Mapping[str, tuple[int, int]]


class HealthServer:
    """Answers GET requests about one worker."""

    def __init__(self, config: HealthcheckConfig, health: Callable[[], Health]) -> None:
        self._server = ThreadingHTTPServer((config.bind_address or "", config.port), _handler(health))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="limpet-health", daemon=True)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no longer."""
        self._server.shutdown()
        self._server.server_close()


def _handler(health: Callable[[], Health]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = health()
            if self.path.startswith("/health"):
                self._answer(200 if now.is_healthy else 503, "application/json", _health_json(now))
            elif self.path.startswith("/metrics"):
                self._answer(200, "text/plain; version=0.0.4", _metrics_text(now))
            else:
                self._answer(404, "text/plain", "Ask for /health or /metrics.\n")

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds; they are no news."""

        def _answer(self, status: int, content_type: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _health_json(health: Health) -> str:
    slots = {pool: {"used": used, "limit": limit} for pool, (used, limit) in health.slots.items()}
    return json.dumps({"status": health.status, "slots": slots})


def _metrics_text(health: Health) -> str:
    lines = [
        f"limpet_worker_healthy {int(health.is_healthy)}",
        f"limpet_worker_event_loop_lag_seconds {health.loop_lag_s:.3f}",
    ]
    for pool, (used, limit) in health.slots.items():
        lines.append(f'limpet_worker_slots_used{{pool="{pool}"}} {used}')
        lines.append(f'limpet_worker_slots_limit{{pool="{pool}"}} {limit}')
    return "\n".join(lines) + "\n"
