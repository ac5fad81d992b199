"""Training runs, evaluation, the gate before a model is promoted, and adapting an encoder."""

from typing import TYPE_CHECKING

from annotator.lazy import load_when_asked

if TYPE_CHECKING:
    from annotator.training.adapt import AdaptationProgress, adapt
    from annotator.training.adapt_card import AdaptationResult, TextSource
    from annotator.training.evaluation import (
        Counts,
        Evaluation,
        LayerEvaluation,
        evaluate,
        evaluate_given_entities,
    )
    from annotator.training.gate import Decision, decide
    from annotator.training.holdout import split_holdout
    from annotator.training.loop import TrainingResult, train
    from annotator.training.reliability import measure_calibration
    from annotator.training.run import TrainingProgress
    from annotator.training.settings import AdaptationSettings, TrainingSettings
    from annotator.training.warm_start import WarmStart

__all__ = [
    "AdaptationProgress",
    "AdaptationResult",
    "AdaptationSettings",
    "Counts",
    "Decision",
    "Evaluation",
    "LayerEvaluation",
    "TextSource",
    "TrainingProgress",
    "TrainingResult",
    "TrainingSettings",
    "WarmStart",
    "adapt",
    "decide",
    "evaluate",
    "evaluate_given_entities",
    "measure_calibration",
    "split_holdout",
    "train",
]

__getattr__ = load_when_asked(
    __name__,
    adapt="AdaptationProgress adapt",
    adapt_card="AdaptationResult TextSource",
    evaluation="Counts Evaluation LayerEvaluation evaluate evaluate_given_entities",
    gate="Decision decide",
    holdout="split_holdout",
    loop="TrainingResult train",
    reliability="measure_calibration",
    run="TrainingProgress",
    settings="AdaptationSettings TrainingSettings",
    warm_start="WarmStart",
)
