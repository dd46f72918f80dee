"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Counters:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # when each series began
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "degrain_requests",
            "Answers, by endpoint and status",
            ["endpoint", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "degrain_request_seconds",
            "From a request's first byte to its answer, waiting included",
            ["endpoint"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_house = Gauge(
            "degrain_requests_in_house", "Requests that wait or are worked on", registry=self.registry
        )
        self.working = Gauge(
            "degrain_requests_working", "Requests that are worked on", registry=self.registry
        )
        self.starts = Counter(
            "degrain_scorer_starts", "Processes that began to serve a model", registry=self.registry
        )
        self.failed_starts = Counter(
            "degrain_scorer_failed_starts", "Attempts to follow the alias that failed", registry=self.registry
        )
        self.model = Gauge("degrain_model", "1 for the version that serves", ["uri"], registry=self.registry)
