"""Metrics for Prometheus: request times, what waits, what trains. Never any document text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from annotator.errors import AnnotatorError
from annotator.logs import get_logger
from annotator.services.reports.status import Vitals, take_vitals
from ml_backend.context import Backend, current_backend
from ml_backend.tracebacks import describe_fault

__all__ = ["blueprint", "install_metrics"]

blueprint = Blueprint("metrics", __name__)
_log = get_logger("backend")

_PREFIX: Final = "annotator"
# From a cached answer up to Label Studio's timeout.
_BUCKETS_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0, 30.0, 100.0)
_RUN_STATES: Final = ("queued", "running", "succeeded", "held", "failed", "cancelled")
# Name of the gauge, key in a run's progress, meaning.
_PROGRESS: Final = (
    ("run_steps_done", "step", "Optimiser steps that the newest training run has done."),
    ("run_steps", "n_steps", "Optimiser steps that the newest training run will have done."),
    ("run_loss", "loss", "Training loss of the newest training run, smoothed."),
    ("run_words_per_second", "words_per_s", "Words a second of the newest training run."),
    ("run_remaining_seconds", "remaining_s", "Estimate of what the newest run still takes."),
)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return all numbers in Prometheus's text format."""
    numbers = generate_latest(current_backend().measured)
    return Response(numbers, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def install_metrics(app: Flask, backend: Backend) -> None:
    """Time every request, and register a collector of the project's state.

    Install it before anything that refuses requests, so that refused ones are timed too.
    """
    seconds = Histogram(
        "request_duration_seconds",
        "Time from a request's arrival in the application to its answer.",
        ("endpoint", "method", "status"),
        namespace=_PREFIX,
        buckets=_BUCKETS_S,
        registry=backend.measured,
    )
    backend.measured.register(_Project(backend))

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        began = g.get("began")
        if began is not None:
            method = request.method if request.endpoint else "other"  # clients can make methods up
            seconds.labels(request.endpoint or "unknown", method, response.status_code).observe(
                time.perf_counter() - began
            )
        return response


class _Project(Collector):
    """Reads model and database at each scrape, so that no number is ever stale."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def describe(self) -> Iterable[Metric]:
        """Yield nothing: registering must not query the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; without a database, the model's state and that it is unreachable."""
        state = self._backend.models.state()
        version = state["version"]
        yield _labelled(
            "model_info", "The version that answers.", "version", {version: 1} if version else {}
        )
        yield _gauge("model_loading", "1 while another version loads.", bool(state["loading"]))
        yield _gauge("model_failed", "1 if the active version cannot be used.", state["error"])
        try:
            vitals = take_vitals(self._backend.database, self._backend.settings.project)
        except AnnotatorError as error:
            _log.error("metrics.incomplete", **describe_fault(error))
            yield _gauge("database_up", "1 if the database answers.", False)
            return
        yield _gauge("database_up", "1 if the database answers.", True)
        yield from _from_vitals(vitals)


def _from_vitals(vitals: Vitals) -> Iterator[Metric]:
    yield _labelled("inbox_events", "Webhook events by state.", "state", vitals.events)
    yield _gauge(
        "inbox_lag_seconds", "Age of the oldest event that waits, 0 if none.", vitals.inbox_lag_s
    )
    yield _labelled(
        "tasks", "Label Studio tasks by state; open is the queue.", "state", vitals.tasks
    )
    yield _labelled("gold", "Sentences of gold by split, and skipped ones.", "split", vitals.gold)
    yield _gauge("workers", "Workers that are alive.", vitals.n_workers)
    yield _gauge("runs_queued", "Training runs that wait.", vitals.n_queued)
    run = vitals.run
    states = {state: int(run.state == state) for state in _RUN_STATES} if run else {}
    yield _labelled("run_state", "1 for the state of the newest training run.", "state", states)
    if run is None:
        return
    yield _gauge("run_number", "Number of the newest training run.", run.id)
    for name, key, meaning in _PROGRESS:
        value = run.progress.get(key)
        if isinstance(value, (int, float)):
            yield _gauge(name, meaning, value)


def _gauge(name: str, meaning: str, value: object) -> Metric:
    number = float(value) if isinstance(value, (int, float)) else float(bool(value))
    return GaugeMetricFamily(f"{_PREFIX}_{name}", meaning, value=number)


def _labelled(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}_{name}", meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family
