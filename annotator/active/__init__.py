"""What to show next: query strategies over stored signals, and the modAL adapter."""

from annotator.active.batch import Candidate, Selection, interleave, select_batch
from annotator.active.strategies import STRATEGIES, Strategy, get_strategy
from annotator.active.terms import ScoredPool

__all__ = [
    "STRATEGIES",
    "Candidate",
    "ScoredPool",
    "Selection",
    "Strategy",
    "get_strategy",
    "interleave",
    "select_batch",
]
