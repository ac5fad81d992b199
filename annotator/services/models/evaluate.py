"""Comparison of two versions on the same hold-out: changes by type, and sentences that flipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.domain import TaggedSentence
from annotator.errors import InputError
from annotator.model import Calibration, Predictor
from annotator.services.models.scores import score_version
from annotator.services.models.snapshot import HoldoutSentence, read_test_sentences
from annotator.store.database import Database
from annotator.store.versions import get_version
from annotator.training import (
    Counts,
    Evaluation,
    LayerEvaluation,
    decide,
    evaluate,
    measure_calibration,
)
from annotator.training.joint_score import joint_f1

__all__ = ["Comparison", "compare_versions", "measure_version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Version ``b`` compared with version ``a``.

    ``fixed`` sentences are fully right only in ``b``, ``broken`` ones only in ``a``: every entity
    and relation is found and nothing else.
    """

    a: str
    b: str
    scores: tuple[Evaluation, Evaluation]
    promotes: bool
    probability: float | None
    reasons: tuple[str, ...]
    fixed: tuple[HoldoutSentence, ...]
    broken: tuple[HoldoutSentence, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; sentences by document and offset, without their text."""
        old, new = self.scores
        return {
            "a": self.a,
            "b": self.b,
            "n_sentences": new.n_sentences,
            "joint_f1": {"a": _joint(old), "b": _joint(new)},
            "probability": self.probability,
            "would_promote": self.promotes,
            "reasons": list(self.reasons),
            "ner": _layer(old.ner, new.ner),
            "re": _layer(old.re, new.re),
            "fixed": [sentence.to_json() for sentence in self.fixed],
            "broken": [sentence.to_json() for sentence in self.broken],
        }


def compare_versions(
    database: Database, project_id: int, *, a: str, b: str, device: str, seed: int, least: int
) -> Comparison:
    """Score both versions on the current hold-out and report the differences.

    ``least`` is the setting ``holdout_least``.

    Raises:
        NotFoundError: if there is no such version.
        CheckpointError: if the files of one are damaged or deleted.
        InputError: if there is no hold-out to compare them on.
    """
    with database.read() as session:
        versions = [get_version(session, project_id, name) for name in (a, b)]
    found = read_test_sentences(database, project_id)
    if not found:
        raise InputError(
            "there is no hold-out to compare models on: import one with annotator import --as "
            "holdout, or label the tasks that were drawn into it"
        )
    gold = [sentence.tagged for sentence in found]
    old, new = (score_version(version, gold, device=device) for version in versions)
    decision = decide(new, old, rng=np.random.default_rng(seed), least=least)
    was_right, is_right = _wholly_right(old), _wholly_right(new)
    return Comparison(
        a=a,
        b=b,
        scores=(old, new),
        promotes=decision.promote,
        probability=decision.probability,
        reasons=decision.reasons,
        fixed=tuple(s for i, s in enumerate(found) if is_right[i] and not was_right[i]),
        broken=tuple(s for i, s in enumerate(found) if was_right[i] and not is_right[i]),
    )


def _wholly_right(scores: Evaluation) -> NDArray[np.bool_]:
    rows = scores.sentence_counts.reshape(-1, 2, 3)
    return np.asarray((rows[:, :, :1] == rows).all(axis=(1, 2)))


def _joint(scores: Evaluation) -> float:
    return round(float(joint_f1(scores.sentence_counts.sum(axis=0))), 4)


def _layer(old: LayerEvaluation, new: LayerEvaluation) -> dict[str, Any]:
    names = sorted({*old.types, *new.types})
    types = {name: (old.types.get(name, Counts()), new.types.get(name, Counts())) for name in names}
    return {
        "micro": _change(old.micro, new.micro),
        "types": {name: _change(*pair) for name, pair in types.items()},
    }


def _change(old: Counts, new: Counts) -> dict[str, Any]:
    return {
        "a": {**old.to_json(), "tp": old.tp, "n_pred": old.n_pred},
        "b": {**new.to_json(), "tp": new.tp, "n_pred": new.n_pred},
        "f1_change": round(new.f1 - old.f1, 4),
        "n": max(old.n_gold, new.n_gold),
    }


def measure_version(
    predictor: Predictor, sentences: Sequence[TaggedSentence], *, n_dev: int
) -> tuple[Evaluation, dict[str, Any]]:
    """Score a model, and measure its confidence with and without its temperatures.

    Nothing may have been fitted on ``sentences``; ``n_dev`` counts those that the temperatures
    were fitted on.

    Returns:
        The scores, and the values to store: the scores with ``n_dev`` and ``calibration``, which
        has for each head its temperature and the expected calibration error without it
        (``ece_before``) and with it (``ece_after``).
    """
    words = [s.words for s in sentences]
    predicted = predictor.predict(words)
    evaluation = evaluate(sentences, predicted)
    own = predictor.model.calibration
    after = measure_calibration(sentences, predicted)
    before = after
    if (own.ner_temperature, own.relation_temperature) != (1.0, 1.0):
        predictor.model.calibration = Calibration()
        try:
            before = measure_calibration(sentences, predictor.predict(words))
        finally:
            predictor.model.calibration = own
    temperatures = {"ner": own.ner_temperature, "re": own.relation_temperature}
    calibration = {
        head: {
            "temperature": round(temperature, 4),
            "ece_before": before[head],
            "ece_after": after[head],
        }
        for head, temperature in temperatures.items()
    }
    return evaluation, {**evaluation.to_json(), "n_dev": n_dev, "calibration": calibration}
