"""The scores of a version on a hold-out, kept beside its weights: it runs once per hold-out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from annotator.domain import TaggedSentence
from annotator.model import Predictor
from annotator.services.inference.versions import load_version
from annotator.store.versions import ModelVersion
from annotator.training import Counts, Evaluation, LayerEvaluation, evaluate
from annotator.training.state import fingerprint

__all__ = ["evaluate_version", "score_version"]


def evaluate_version(predictor: Predictor, sentences: Sequence[TaggedSentence]) -> Evaluation:
    """Score a model on sentences, strictly."""
    return evaluate(sentences, predictor.predict([s.words for s in sentences]))


def score_version(
    version: ModelVersion, gold: Sequence[TaggedSentence], *, device: str
) -> Evaluation:
    """Return the scores of a version, from its folder if they are there.

    Raises:
        CheckpointError: if it has to run and its files are damaged or deleted.
    """
    digest = fingerprint(gold, (), arguments=[version.sha256])
    cache = Path(version.folder) / f"scores-{digest[:16]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError, IndexError):  # absent or truncated
        return _from_json(json.loads(cache.read_text(encoding="utf-8")), gold)
    scores = evaluate_version(load_version(version, device=device), gold)
    with suppress(OSError):  # scores for a read-only folder are computed each time
        aside = cache.with_suffix(".new")
        aside.write_text(json.dumps(_to_json(scores)) + "\n", encoding="utf-8")
        aside.replace(cache)
    return scores


def _to_json(scores: Evaluation) -> dict[str, Any]:
    value: dict[str, Any] = {"n_sentences": scores.n_sentences}
    for name, layer in (("ner", scores.ner), ("re", scores.re)):
        where = np.argwhere(layer.type_counts)  # (entries, 3): sentence, type, column
        counts = layer.type_counts[tuple(where.T)]
        value[name] = {
            "names": list(layer.names),
            "counts": np.column_stack([where, counts]).tolist(),
            "boundary": [layer.boundary.tp, layer.boundary.n_pred, layer.boundary.n_gold],
        }
    return value


def _from_json(value: Mapping[str, Any], gold: Sequence[TaggedSentence]) -> Evaluation:
    if value["n_sentences"] != len(gold):
        raise ValueError("scores of another hold-out")
    return Evaluation(
        ner=_layer(value["ner"], n=len(gold)),
        re=_layer(value["re"], n=len(gold)),
        groups=tuple(sentence.group or sentence.id for sentence in gold),
    )


def _layer(value: Mapping[str, Any], *, n: int) -> LayerEvaluation:
    names = tuple(value["names"])
    counts = np.zeros((n, len(names), 3), dtype=np.int32)
    entries = np.array(value["counts"], dtype=np.int64).reshape(-1, 4)
    counts[tuple(entries[:, :3].T)] = entries[:, 3]
    tp, n_pred, n_gold = value["boundary"]
    boundary = Counts(tp=tp, n_pred=n_pred, n_gold=n_gold)
    return LayerEvaluation(names=names, type_counts=counts, boundary=boundary)
