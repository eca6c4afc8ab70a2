"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.telemetry.instrumentor import LimpetInstrumentor

HatchetInstrumentor = LimpetInstrumentor

__all__ = ["HatchetInstrumentor", "LimpetInstrumentor"]
