"""What to show next: query strategies over stored signals, and the modAL adapter."""

from annotator.active.acquisition import Sample, ScoredPool, sample_of
from annotator.active.batch import (
    PREFILTER,
    Candidate,
    Selection,
    compose_batch,
    interleave,
    percentile_ranks,
    prefilter,
    select_batch,
    win_tournaments,
)
from annotator.active.strategies import STRATEGIES, Strategy, get_strategy

__all__ = [
    "PREFILTER",
    "STRATEGIES",
    "Candidate",
    "Sample",
    "ScoredPool",
    "Selection",
    "Strategy",
    "compose_batch",
    "get_strategy",
    "interleave",
    "percentile_ranks",
    "prefilter",
    "sample_of",
    "select_batch",
    "win_tournaments",
]
