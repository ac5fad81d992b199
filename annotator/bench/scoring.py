"""How fast a pool is scored: against the bare encoder, and in bf16 against fp32."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from annotator.bench.clock import Report, median_ratio, race
from annotator.domain import TaggedSentence
from annotator.model import JointModel, Predictor
from annotator.model.batch import Batch, collate, plan_batches
from annotator.model.precision import ChosenPrecision
from annotator.training import evaluate

__all__ = ["ScoringBench", "bench_f1", "bench_scoring"]

PRECISIONS: tuple[ChosenPrecision, ...] = ("fp32", "bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringBench:
    """Figures of scoring.

    Attributes:
        chosen: What ``precision = "auto"`` takes on this machine.
        vs_encoder: Throughput of scoring over that of the bare encoder, by precision.
        reduced_vs_fp32: Throughput of scoring in bf16 over that in fp32.
        sentences_per_s: By contestant.
    """

    chosen: ChosenPrecision
    vs_encoder: dict[str, float]
    reduced_vs_fp32: float
    sentences_per_s: dict[str, float]


def bench_scoring(
    model: JointModel, words: Sequence[Sequence[str]], *, n_rounds: int, report: Report
) -> ScoringBench:
    """Race scoring and the bare encoder on the same batches, both in fp32 and in bf16.

    Scoring is ``Predictor.predict``: word pieces, batches, tags, pairs, embedding, signals and the
    objects that carry them. The bare encoder gets ready-made batches.
    """
    contestants: dict[str, Callable[[], object]] = {}
    for precision in PRECISIONS:
        predictor = Predictor(model, precision=precision)
        batches = _batches(model, words, token_budget=predictor.token_budget)
        contestants[f"encoder_{precision}"] = _bare(predictor.network, batches)
        contestants[f"scoring_{precision}"] = _scoring(predictor, words)
    contestants["pieces"] = lambda: model.pieces.encode(words)
    seconds = race(contestants, n_rounds=n_rounds, device=model.device, report=report)
    return ScoringBench(
        chosen=Predictor(model, precision="auto").precision,
        vs_encoder={
            p: median_ratio(seconds[f"encoder_{p}"], seconds[f"scoring_{p}"]) for p in PRECISIONS
        },
        reduced_vs_fp32=median_ratio(seconds["scoring_fp32"], seconds["scoring_bf16"]),
        sentences_per_s={
            name: len(words) / statistics.median(found) for name, found in seconds.items()
        },
    )


def bench_f1(model: JointModel, gold: Sequence[TaggedSentence]) -> dict[str, dict[str, float]]:
    """Return strict micro F1 of entities and relations, by precision."""
    found: dict[str, dict[str, float]] = {}
    for precision in PRECISIONS:
        scores = evaluate(gold, Predictor(model, precision=precision).predict(gold))
        found[precision] = {"ner": scores.ner.micro.f1, "re": scores.re.micro.f1}
    return found


def _batches(
    model: JointModel, words: Sequence[Sequence[str]], *, token_budget: int
) -> list[Batch]:
    pieces = model.pieces.encode(words)
    return [
        collate([pieces[i] for i in chosen], model.pieces).to(model.device)
        for chosen in plan_batches([p.cost for p in pieces], token_budget=token_budget)
    ]


def _bare(network: nn.Module, batches: Sequence[Batch]) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                network(input_ids=batch.input_ids, attention_mask=batch.attention_mask)

    return run


def _scoring(predictor: Predictor, words: Sequence[Sequence[str]]) -> Callable[[], object]:
    return lambda: predictor.predict(words)
