"""Training runs, evaluation, and the gate before a model is promoted."""

from annotator.training.evaluation import Counts, Evaluation, LayerEvaluation, evaluate
from annotator.training.gate import Decision, decide
from annotator.training.loop import TrainingResult, train
from annotator.training.run import TrainingProgress
from annotator.training.settings import TrainingSettings

__all__ = [
    "Counts",
    "Decision",
    "Evaluation",
    "LayerEvaluation",
    "TrainingProgress",
    "TrainingResult",
    "TrainingSettings",
    "decide",
    "evaluate",
    "train",
]
