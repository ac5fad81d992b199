"""``annotator bench model``: scoring, training and reduced precision as ratios."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

from annotator.bench.clock import Report
from annotator.bench.machine import describe_machine
from annotator.bench.scoring import ScoringBench, bench_f1, bench_scoring
from annotator.bench.training import LearningBench, bench_learning
from annotator.domain import Document, LabelSchema, TaggedSentence
from annotator.errors import InputError
from annotator.model import JointModel, load_checkpoint
from annotator.text import align_document
from annotator.training import TrainingProgress, TrainingSettings, train

__all__ = ["ModelBenchPlan", "bench_model", "fit_model"]

_EPOCHS = 6
_SEED = 0
_N_LEARNT = 160  # sentences in the timed epoch
_MIN_LEARNT = 32
_EVERY = 3  # one document in so many is held out


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBenchPlan:
    """What to measure.

    Attributes:
        encoder: The encoder of the models trained here.
        n_sentences: Sentences per round of scoring; the corpus is repeated to fill them.
        n_rounds: Rounds of each comparison.
        model: A checkpoint to score with; None trains one on two thirds of the documents.
    """

    encoder: str
    n_sentences: int
    n_rounds: int
    device: torch.device
    model: Path | None = None


def bench_model(
    documents: Sequence[Document], plan: ModelBenchPlan, *, report: Report
) -> dict[str, Any]:
    """Measure and return plain JSON values; all ratios are of figures from this run.

    ``reduced_f1_change`` is the change of entities or of relations, whichever is greater. It is
    measured on the held-out third of the labelled ``documents``, or on all of them with a
    ``plan.model``.

    Raises:
        InputError: if there are too few labelled sentences.
        CheckpointError: if ``plan.model`` is not a complete checkpoint.
    """
    machine = describe_machine(plan.device)  # first: it records the load before ours
    learnt = _sentences(d for i, d in enumerate(documents) if i % _EVERY)
    held_out = _sentences(documents[::_EVERY])
    schema = LabelSchema.from_documents(documents)
    _check(learnt, held_out, schema)
    everything = [*learnt, *held_out]
    if plan.model is None:
        model, gold = fit_model(learnt, schema, plan, report), held_out
    else:
        model, gold = load_checkpoint(plan.model, device=plan.device), everything
    words = list(islice(cycle([s.words for s in everything]), plan.n_sentences))
    scoring = bench_scoring(model, words, n_rounds=plan.n_rounds, report=report)
    f1 = bench_f1(model, gold)
    learning = bench_learning(
        learnt[:_N_LEARNT],
        schema=schema,
        encoder=plan.encoder,
        device=plan.device,
        n_rounds=plan.n_rounds,
        report=report,
    )
    return {
        **_ratios(scoring, learning, f1),
        "n_sentences": len(words),
        "n_labelled": len(gold),
        "n_rounds": plan.n_rounds,
        "seed": _SEED,
        "encoder": plan.encoder,
        **machine,
    }


def _ratios(
    scoring: ScoringBench, learning: LearningBench, f1: dict[str, dict[str, float]]
) -> dict[str, Any]:
    changes = [f1["bf16"][layer] - f1["fp32"][layer] for layer in ("ner", "re")]
    greater: float = max(changes, key=abs)
    return {
        "score_vs_encoder": round(scoring.vs_encoder[scoring.chosen], 4),
        "train_vs_encoder": round(learning.vs_encoder, 4),
        "reduced_vs_fp32": round(scoring.reduced_vs_fp32, 4),
        "reduced_f1_change": round(greater, 4),
        "precision": scoring.chosen,
        "score_vs_encoder_by_precision": _rounded(scoring.vs_encoder),
        "f1": {name: _rounded(values) for name, values in f1.items()},
        "sentences_per_s": _rounded(scoring.sentences_per_s),
        "words_per_s": _rounded(learning.words_per_s),
        "n_train_steps": learning.n_steps,
    }


def _check(
    learnt: Sequence[TaggedSentence], held_out: Sequence[TaggedSentence], schema: LabelSchema
) -> None:
    if min(len(learnt), 2 * len(held_out)) < _MIN_LEARNT:
        raise InputError(
            f"{len(learnt)} and {len(held_out)} sentences in two thirds and one third of the "
            f"documents are too few to measure with: give at least {_MIN_LEARNT} and "
            f"{_MIN_LEARNT // 2}"
        )
    if not schema.entity_types:
        raise InputError("the documents have no entities; give labelled ones")


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _sentences(documents: Iterable[Document]) -> list[TaggedSentence]:
    return [s for d in documents for s in align_document(d).sentences if s.words]


def fit_model(
    sentences: Sequence[TaggedSentence],
    schema: LabelSchema,
    plan: ModelBenchPlan,
    report: Report,
) -> JointModel:
    """Train a model for a few epochs, enough that it predicts something."""

    def advance(progress: TrainingProgress) -> None:
        report("fit", progress.step, progress.n_steps)

    with tempfile.TemporaryDirectory() as folder:
        result = train(
            sentences,
            schema=schema,
            encoder=plan.encoder,
            settings=TrainingSettings(epochs=_EPOCHS, min_steps=0, seed=_SEED),
            folder=Path(folder) / "model",
            device=plan.device,
            on_progress=advance,
        )
        return load_checkpoint(result.folder, device=plan.device)
