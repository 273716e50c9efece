"""What an operator watches, in the text format of Prometheus: the only home of its client library.

https://prometheus.io/docs/instrumenting/exposition_formats/

Labels say what kind of thing happened, and which model and snapshot are served; never an address that was asked for,
nor anything about a picture. Counts are those of one process. Not here: who counts (`gate`, `capacity`, the routes).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from flask import Flask, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from recommender.errors import SokkuriError
from recommender.publication import Publication
from recommender.types import Timing
from web.refusals import REFUSALS, Refusal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STAGES = ("wait", "decode", "encode", "search", "rank")
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histograms: a search takes less than a millisecond, waiting in a long line seconds."""


class Metrics:
    """The counts of one application."""

    def __init__(self, publication: Publication) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "sokkuri_requests", "Requests that were answered, by HTTP status.", ["status"], registry=self._registry
        )
        self._unread = Counter(
            "sokkuri_refused_unread",
            "Requests that were refused and that the application never saw, by HTTP status and reason.",
            ["status", "reason"],
            registry=self._registry,
        )
        for refusal in REFUSALS:
            self._unread.labels(refusal.status, refusal.reason)
        self._stages = Histogram(
            "sokkuri_stage_seconds",
            "Seconds that a stage of answering a picture took; only pictures that were not remembered are encoded.",
            ["stage"],
            buckets=SECONDS,
            registry=self._registry,
        )
        for stage in STAGES:
            self._stages.labels(stage)
        self._registry.register(_Served(publication))
        ProcessCollector(registry=self._registry)

    def register(self, app: Flask) -> None:
        """Count every answer of `app`."""
        app.after_request(self._counted)

    def _counted(self, response: Response) -> Response:
        self._requests.labels(response.status_code).inc()
        return response

    def count_refusal(self, refusal: Refusal) -> None:
        """Count an answer that the application has no part in."""
        self._requests.labels(refusal.status).inc()
        self._unread.labels(refusal.status, refusal.reason).inc()

    def observe(self, timing: Timing) -> None:
        """Count how long the stages of one answer took."""
        for stage in STAGES:
            milliseconds = getattr(timing, stage)
            if stage != "encode" or milliseconds:
                self._stages.labels(stage).observe(milliseconds / 1000)

    def text(self) -> bytes:
        """Return all of it in the text format."""
        return generate_latest(self._registry)


class _Served:
    """Reads what others count when it is asked for: the line, the memory, and what is served."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication

    def collect(self) -> Iterator[Metric]:
        """Give each metric."""
        capacity = self._publication.capacity
        yield GaugeMetricFamily("sokkuri_queue_length", "Pictures that wait in line.", capacity.working.waiting)
        refused = capacity.working.refused
        yield CounterMetricFamily("sokkuri_refused", "Pictures that were refused because the line was full.", refused)
        gone = capacity.working.abandoned + capacity.encoding.abandoned
        yield CounterMetricFamily("sokkuri_abandoned", "Pictures whose sender hung up while they waited.", gone)
        hits, misses = capacity.encodings.hits, capacity.encodings.misses
        yield CounterMetricFamily("sokkuri_cache_hits", "Pictures that the model was not asked about again.", hits)
        yield CounterMetricFamily("sokkuri_cache_misses", "Pictures that were not remembered.", misses)
        kept = len(capacity.encodings)
        yield GaugeMetricFamily("sokkuri_cache_entries", "Pictures whose encodings are remembered.", kept)
        yield self._serving()

    def _serving(self) -> Metric:
        labels = ["model", "engine", "snapshot", "process"]
        serving = GaugeMetricFamily(
            "sokkuri_serving", "1 for the model and the snapshot that are served.", labels=labels
        )
        try:
            recommender = self._publication.current()
        except SokkuriError:
            return serving  # nothing is, and /readyz says why
        info = recommender.encoder.info
        serving.add_metric([info.name, info.engine, recommender.snapshot.info.id, str(os.getpid())], 1)
        return serving
