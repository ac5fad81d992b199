"""What a model is worth on labelled sentences: strict scores, and how honest its confidence is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotator.domain import TaggedSentence
from annotator.model import Calibration, Predictor
from annotator.training import Evaluation, evaluate, measure_calibration

__all__ = ["evaluate_version", "measure_version"]


def evaluate_version(predictor: Predictor, sentences: Sequence[TaggedSentence]) -> Evaluation:
    """Score a model on sentences, strictly."""
    return evaluate(sentences, predictor.predict([s.words for s in sentences]))


def measure_version(
    predictor: Predictor, sentences: Sequence[TaggedSentence], *, n_dev: int
) -> tuple[Evaluation, dict[str, Any]]:
    """Score a model, and measure its confidence with its temperatures and without.

    Args:
        predictor: The model.
        sentences: Labelled sentences that nothing was fitted on.
        n_dev: Number of sentences that the temperatures were fitted on.

    Returns:
        The scores, and all that is kept of the measurement: the scores with ``n_dev`` and
        ``calibration``, which has for each head its temperature and the expected calibration
        error as the scores come (``ece_before``) and as they are shown (``ece_after``).
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
