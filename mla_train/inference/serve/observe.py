"""Metrics of a server for Prometheus."""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest


class ServerMetrics:
    """Counts requests and batches.

    Args:
        queued: Number of examples that wait for the model now.
    """

    def __init__(self, queued: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("requests", "Requests by path and status", ["path", "status"], registry=registry)
        self.in_progress = Gauge("requests_in_progress", "Requests that are not yet answered", registry=registry)
        self.seconds = Histogram("request_seconds", "Time until the response", ["path"], registry=registry)
        self.batches = Histogram(
            "batch_examples", "Examples in a batch", registry=registry, buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
        )
        Gauge("queued_examples", "Examples that wait for the model", registry=registry).set_function(queued)

    def text(self) -> bytes:
        """All metrics in the format of Prometheus."""
        return generate_latest(self.registry)


class ObservedApp:
    """ASGI middleware that counts requests under the paths that the app has.

    Args:
        app: The app inside.
        metrics: Where requests are counted.
        paths: Paths of the app; others count as "other".
    """

    def __init__(self, app: Any, metrics: ServerMetrics, paths: set[str]) -> None:
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_observed(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self.metrics.in_progress.track_inprogress():
                await self.app(scope, receive, send_observed)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
