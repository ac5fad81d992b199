"""``annotator bench select``: a batch from a large pool, and the cost of signals beside labels."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from annotator.active import (
    Candidate,
    ScoredPool,
    compose_batch,
    get_strategy,
    percentile_ranks,
    prefilter,
)
from annotator.bench.clock import Report, race
from annotator.bench.generated import WIDTH, generated_embeddings
from annotator.bench.machine import describe_machine
from annotator.bench.model import ModelBenchPlan, fit_model
from annotator.domain import Document, LabelSchema
from annotator.model import Predictor, analysis
from annotator.model.signals import SIGNALS
from annotator.text import align_document

__all__ = ["bench_select"]

_BATCH: Final = 50
_LABELLED: Final = 500  # as many as the queue keeps its distance from
_LEARNT: Final = 160  # sentences; enough for a model that predicts something
_PER_DOCUMENT: Final = 10  # sentences
_TIMES: Final = 7
_STRATEGY: Final = "mnlp"


def bench_select(
    documents: Sequence[Document], plan: ModelBenchPlan, *, n_pool: int, report: Report
) -> dict[str, Any]:
    """Select 50 of ``n_pool`` generated scores and embeddings; race scoring and predicting.

    The race's model is trained on the labelled ``documents``; ``plan`` is as for ``bench_model``.

    Raises:
        InputError: if there are too few labelled sentences.
    """
    machine = describe_machine(plan.device)
    selected = _time_selections(n_pool, report)
    sentences = [s for d in documents for s in align_document(d).sentences if s.words]
    model = fit_model(sentences[:_LEARNT], LabelSchema.from_documents(documents), plan, report)
    predictor = Predictor(model, precision="auto")
    words = list(islice(cycle([s.words for s in sentences]), plan.n_sentences))
    strategy = get_strategy(_STRATEGY)

    def score() -> object:
        return strategy.utilities(ScoredPool.of([p.signals for p in predictor.predict(words)]))

    def predict() -> object:
        with _without_signals():
            return predictor.predict(words)

    ways = {"score": score, "predict": predict}
    seconds = race(ways, n_rounds=plan.n_rounds, device=plan.device, report=report)
    rounds = [a / b - 1 for a, b in zip(seconds["score"], seconds["predict"], strict=True)]
    return {
        "select_s": round(statistics.median(selected), 4),
        "select_slowest_s": round(max(selected), 4),
        "n_pool": n_pool,
        "batch": _BATCH,
        "n_labelled": _LABELLED,
        "n_repetitions": _TIMES,
        "score_overhead": round(statistics.median(rounds), 4),
        "score_overhead_by_round": [round(one, 4) for one in rounds],
        "n_sentences": len(words),
        "n_rounds": plan.n_rounds,
        "encoder": plan.encoder,
        "precision": predictor.precision,
        **machine,
    }


def _time_selections(n_pool: int, report: Report) -> list[float]:
    """Time the whole procedure over scores in memory; the pre-filter sees every row."""
    rng = np.random.default_rng(0)
    utilities = rng.gamma(2.0, 0.1, size=n_pool)
    embeddings = np.empty((n_pool, WIDTH), dtype=np.float16)
    for i in range(0, n_pool, 10_000):
        part = embeddings[i : i + 10_000]
        part[:] = generated_embeddings(len(part), rng)
    labelled = generated_embeddings(_LABELLED, rng)

    def candidate(i: int, percentile: float) -> Candidate:
        return Candidate(
            id=i,
            utility=percentile,
            group=str(i // _PER_DOCUMENT),
            embedding=embeddings[i].astype(np.float32),
        )

    def select(seed: int) -> int:
        draw = np.random.default_rng(seed)
        scores = percentile_ranks(utilities)
        batch = compose_batch(
            [candidate(int(i), float(scores[i])) for i in prefilter(scores, _BATCH, rng=draw)],
            (candidate(int(i), 0.0) for i in draw.permutation(n_pool)),
            _BATCH,
            labelled=labelled,
            rng=draw,
            random_share=0.15,
            per_group=3,
        )
        return len(batch)

    seconds = []
    for seed in range(_TIMES):
        started = time.perf_counter()
        select(seed)
        seconds.append(time.perf_counter() - started)
        report("select", seed + 1, _TIMES)
    return seconds


@contextmanager
def _without_signals() -> Iterator[None]:
    """Make predictions carry labels alone: neither signals nor embeddings are computed."""

    def no_signals(log_probs: Tensor, **_given: Any) -> dict[str, Tensor]:
        nothing = log_probs.new_zeros(len(log_probs))
        return dict.fromkeys(SIGNALS, nothing)

    def no_entropy(log_probs: Tensor, _mask: Tensor) -> Tensor:
        return log_probs.new_zeros(len(log_probs))

    def as_it_is(mean: Tensor, dim: int) -> Tensor:
        return mean

    with (
        patch.object(analysis, "word_signals", no_signals),
        patch.object(analysis, "sum_pair_entropy", no_entropy),
        patch.object(torch.nn.functional, "normalize", as_it_is),
    ):
        yield
