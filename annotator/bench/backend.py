"""How long Label Studio waits for the backend: predictions, health during training, events."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from annotator.bench.clock import Report
from annotator.bench.load import Caller, one_after_the_other, steadily
from annotator.bench.machine import describe_machine
from annotator.bench.served import ServedProject, open_served
from annotator.bench.traffic import Traffic, sentence_texts
from annotator.domain import Document, LabelSchema
from annotator.errors import InputError, JobError
from annotator.store.inbox import count_events

__all__ = ["BackendBenchPlan", "bench_backend"]

_LOOKS_PER_S: Final = 20.0  # requests to /health and to /setup each, while a model is trained
_N_CACHED: Final = 300
_N_DRAWN: Final = 100
_DRAIN_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendBenchPlan:
    """What to measure.

    Attributes:
        encoder: The encoder of the model that is served and trained.
        n_sentences: Tasks, of one sentence each, in the one large request.
        per_s: Events per second.
        seconds: How long events are sent, and how long ``/health`` and ``/setup`` are called during
            a training run.
    """

    encoder: str
    n_sentences: int
    per_s: float
    seconds: float


def bench_backend(
    documents: Sequence[Document],
    plan: BackendBenchPlan,
    *,
    texts: Sequence[Document],
    home: Path,
    report: Report,
) -> dict[str, Any]:
    """Measure a backend and a worker in their own processes; return plain JSON values.

    The model learns from ``documents``; the sentences of ``texts`` are sent. ``home`` is an empty
    or missing folder for the project.

    Raises:
        InputError: if there are no sentences or no entities.
        JobError: if a process ends, or a request that must succeed fails.
    """
    machine = describe_machine(torch.device("cpu"))
    sentences = sentence_texts(texts)
    schema = LabelSchema.from_documents(documents)
    if not sentences or not schema.entity_types:
        raise InputError("the documents have no entities or no sentences; give labelled ones")
    with open_served(home, documents, encoder=plan.encoder) as served:
        report("train a small model", 0, 1)
        served.train_first()
        config = served.label_config(schema)
        traffic = Traffic(sentences, config_xml=config.xml, config=config)
        caller = served.serve()
        predictions = _predictions(caller, traffic, plan, report)
        served.commands.start("worker", "worker")
        beside = _beside_training(served, caller, traffic, plan, report)
        events = _events(served, caller, traffic, plan, report)
    return {**predictions, **beside, **events, "encoder": plan.encoder, **machine}


def _predictions(
    caller: Caller, traffic: Traffic, plan: BackendBenchPlan, report: Report
) -> dict[str, Any]:
    wanted = [
        traffic.texts[i % len(traffic.texts)] + f" {i}" * (i >= len(traffic.texts))
        for i in range(plan.n_sentences)
    ]
    report("predict", 0, 1)
    body = json.dumps(traffic.predict(wanted)).encode()
    started = time.perf_counter()
    status, answer = caller.call("POST", "/predict", body)
    seconds = time.perf_counter() - started
    if status != 200 or len(json.loads(answer)["results"]) != len(wanted):
        raise JobError(f"/predict of {len(wanted)} tasks was answered with {status}")
    cached = one_after_the_other(
        lambda i: caller.ok("POST", "/predict", traffic.predict([wanted[i % len(wanted)]])),
        n=_N_CACHED,
        report=lambda done: report("cached", done, _N_CACHED),
    )

    def ask_with_regions(i: int) -> bool:
        text = traffic.texts[i % len(traffic.texts)]
        return caller.ok("POST", "/predict", traffic.predict([text], drawn=traffic.regions(text)))

    drawn = one_after_the_other(
        ask_with_regions, n=_N_DRAWN, report=lambda done: report("interactive", done, _N_DRAWN)
    )
    return {
        "uncached": {"n_tasks": len(wanted), "seconds": round(seconds, 2)},
        "cached": cached.to_json(),
        "interactive": drawn.to_json(),
    }


def _beside_training(
    served: ServedProject,
    caller: Caller,
    traffic: Traffic,
    plan: BackendBenchPlan,
    report: Report,
) -> dict[str, Any]:
    n = max(1, round(_LOOKS_PER_S * plan.seconds))
    body = json.dumps(traffic.setup()).encode()
    report("wait for a training run", 0, 1)
    with served.training(caller):
        health = steadily(
            lambda _i: caller.ok("GET", "/health"),
            per_s=_LOOKS_PER_S,
            n=n,
            report=lambda done: report("health", done, n),
        )
        setup = steadily(
            lambda _i: caller.ok("POST", "/setup", body),
            per_s=_LOOKS_PER_S,
            n=n,
            report=lambda done: report("setup", done, n),
        )
    return {"health_beside_training": health.to_json(), "setup_beside_training": setup.to_json()}


def _events(
    served: ServedProject,
    caller: Caller,
    traffic: Traffic,
    plan: BackendBenchPlan,
    report: Report,
) -> dict[str, Any]:
    n = max(1, round(plan.per_s * plan.seconds))
    bodies = [json.dumps(traffic.event(i)).encode() for i in range(n)]
    before = _count(served)
    found = steadily(
        lambda i: caller.ok("POST", "/webhook", bodies[i]),
        per_s=plan.per_s,
        n=n,
        report=lambda done: report("webhook", done, n),
    )
    n_stored = sum(_count(served).values()) - sum(before.values())
    started = time.monotonic()
    while (state := _count(served))["new"] and time.monotonic() - started < _DRAIN_S:
        served.commands.check()
        report("work off", state["done"] - before["done"], n)
        time.sleep(0.5)
    return {
        "webhook": found.to_json(),
        "webhook_per_s": plan.per_s,
        "webhook_lost": n - n_stored,
        "webhook_worked_off": state["done"] - before["done"],
        "webhook_drain_s": round(time.monotonic() - started, 1),
    }


def _count(served: ServedProject) -> dict[str, int]:
    with served.database.read() as session:
        return count_events(session)
