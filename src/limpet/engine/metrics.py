"""What the operator sees: counters and gauges of one engine, in a registry of its own (reliability section 8).

Law: the loop touches a metric a few times a turn, never once an input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

SECONDS_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
MARGIN_BUCKETS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
WORKER_STATES = ("active", "disconnected", "paused", "lost", "gone")


class WorkersByState(Collector):
    """Counted when somebody looks, from the cores' memory."""

    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield self._family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = self._family()
        counts = self._count()
        for state in WORKER_STATES:
            family.add_metric([state], counts.get(state, 0))
        yield family

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily("limpet_workers", "Registered workers by state.", labels=["state"])


class Metrics:
    """All metrics of one engine. `registry` is what a scrape reads."""

    registry: CollectorRegistry
    commit_seconds: Histogram
    batch_inputs: Histogram
    state_load_seconds: Histogram
    lease_margin_seconds: Histogram
    store_retries: Counter
    stale_reports: Counter
    deliveries: Counter
    undeliverable_starts: Counter
    refused_inputs: Counter
    dropped_notices: Counter
    payload_reads: Counter
    internal_errors: Counter
    quarantined: Counter
    invariant_failures: Counter
    dropped_logs: Counter
    pruned_runs: Counter
    purged_claims: Counter
    step_downs: Counter
    epoch: Gauge
    commit_seq: Gauge

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._measure_commits()
        self._count_loop()
        self._count_failures()
        self._gauge_engine()

    def _measure_commits(self) -> None:
        self.commit_seconds = Histogram(
            "limpet_commit_seconds", "Time from handing a batch to the store until it is durable, retries included.",
            buckets=SECONDS_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.batch_inputs = Histogram(
            "limpet_batch_inputs", "Inputs handled in one turn of the loop.", buckets=BATCH_BUCKETS, registry=self.registry
        )
        self.store_retries = self._counter(
            "limpet_store_retries", "Calls of the store that were repeated, by call and cause.", "call", "cause"
        )
        self.state_load_seconds = Histogram(
            "limpet_state_load_seconds", "Time to rebuild a tenant's memory from the store.",
            buckets=SECONDS_BUCKETS, registry=self.registry,
        )  # fmt: skip

        self.lease_margin_seconds = Histogram(
            "limpet_lease_margin_seconds", "How long the lease was still trusted when it was renewed.",
            buckets=MARGIN_BUCKETS, registry=self.registry,
        )  # fmt: skip

    def _count_loop(self) -> None:
        self.stale_reports = self._counter("limpet_stale_reports", "Reports that fitted no live attempt, by cause.", "cause")
        self.deliveries = self._counter("limpet_deliveries", "Committed deliveries handed to the streams, by kind.", "kind")
        self.undeliverable_starts = self._counter("limpet_undeliverable_starts", "Starts that no stream could take.")
        self.refused_inputs = self._counter("limpet_refused_inputs", "Inputs refused: the inbox was full, or the store away.")
        self.dropped_notices = self._counter("limpet_dropped_notices", "Signs of life dropped because the inbox was full.")
        self.payload_reads = self._counter("limpet_payload_reads", "Payloads read from the store for a delivery.")

    def _count_failures(self) -> None:
        self.internal_errors = self._counter("limpet_internal_errors", "Failures inside the engine, by place.", "place")
        self.quarantined = self._counter("limpet_quarantined_inputs", "Inputs that could not be processed and were recorded.")
        self.invariant_failures = self._counter("limpet_invariant_failures", "Violations found by the self-check.")
        self.dropped_logs = self._counter("limpet_dropped_logs", "Log lines of tasks that were dropped.")
        self.pruned_runs = self._counter("limpet_pruned_runs", "Finished runs deleted after their retention.")
        self.purged_claims = self._counter("limpet_purged_claims", "Idempotency keys deleted after they had expired.")
        self.step_downs = self._counter("limpet_step_downs", "Times the engine lost its ownership of the store.")

    def _gauge_engine(self) -> None:
        self.epoch = Gauge("limpet_epoch", "Epoch of the engine's ownership; grows with each claim.", registry=self.registry)
        self.commit_seq = Gauge("limpet_commit_seq", "Number of the last commit.", registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when somebody looks."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def watch_workers(self, count: Callable[[], Mapping[str, int]]) -> None:
        """Show workers by state; `count` is asked when somebody looks."""
        self.registry.register(WorkersByState(count))
