"""Traces of runs: where a tracer looks in, and the one that speaks OpenTelemetry. Only `spans` and `instrumentor` import it."""
