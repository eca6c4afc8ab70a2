"""Switching traces on: `LimpetInstrumentor().instrument()`, once in a process, for all its clients and workers."""

from __future__ import annotations

from typing import Any

from limpet._version import __version__
from limpet.sdk._transport import channel_credentials, tls_name
from limpet.sdk.config import ClientConfig
from limpet.sdk.telemetry.hooks import hook

try:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from limpet.sdk.telemetry.spans import Spans
except ImportError as _error:
    raise ImportError("OpenTelemetry is not installed, and traces are made with it: pip install 'limpet[otel]'.") from _error

NAME = "limpet"


class LimpetInstrumentor:
    """Makes spans of triggers and attempts.

    tracer_provider:               where spans go; the global one unless given, which is made when there is none
    meter_provider:                taken for code that was written for the official client; no metrics are made of it
    config:                        of the client whose engine is meant, and what spans leave out; from the environment
    enable_hatchet_otel_collector: send spans to the engine, too, which keeps the newest for a look at a run
    schedule_delay_millis, max_export_batch_size, max_queue_size: of the sending to the engine, as of a BatchSpanProcessor
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: Any = None,
        config: ClientConfig | None = None,
        enable_hatchet_otel_collector: bool = True,
        schedule_delay_millis: int | None = None,
        max_export_batch_size: int | None = None,
        max_queue_size: int | None = None,
    ) -> None:
        self.config: ClientConfig = config or ClientConfig()
        self.tracer_provider: trace.TracerProvider = tracer_provider or _global_provider()
        self.meter_provider: Any = meter_provider
        self._sends_to_engine = enable_hatchet_otel_collector
        self._sending: dict[str, Any] = {
            "schedule_delay_millis": schedule_delay_millis,
            "max_export_batch_size": max_export_batch_size,
            "max_queue_size": max_queue_size,
        }
        self._processor: BatchSpanProcessor | None = None

    def instrument(self, **kwargs: Any) -> None:
        """From now on. A second call changes nothing."""
        if self._sends_to_engine and self._processor is None and isinstance(self.tracer_provider, TracerProvider):
            self._processor = BatchSpanProcessor(engine_exporter(self.config), **self._sending)
            self.tracer_provider.add_span_processor(self._processor)
        hook.set(Spans(self.tracer_provider.get_tracer(NAME, __version__), self.config))

    def uninstrument(self, **kwargs: Any) -> None:
        """No more spans; those on their way to the engine are sent."""
        hook.set(None)
        if self._processor is not None:
            self._processor.force_flush()


def engine_exporter(config: ClientConfig) -> OTLPSpanExporter:
    """Sends spans to the engine, by its gRPC port and the client's token."""
    return OTLPSpanExporter(
        endpoint=config.host_port,
        insecure=config.tls_config.strategy == "none",
        credentials=channel_credentials(config.tls_config),
        channel_options=(tls_name(config.tls_config),),
        headers={"authorization": f"bearer {config.token}"} if config.token else {},
    )


def _global_provider() -> trace.TracerProvider:
    """The process's own; where nobody has set one up, one without a destination, so that spans have ids."""
    found = trace.get_tracer_provider()
    if not isinstance(found, trace.ProxyTracerProvider):
        return found
    made = TracerProvider()
    trace.set_tracer_provider(made)
    return made
