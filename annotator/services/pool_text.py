"""A text of the pool on its way to a model, and what the model sees in it."""

from __future__ import annotations

from dataclasses import dataclass

from annotator.services.predict import TextSentence
from annotator.store.versions import StoredPrediction

__all__ = ["PoolText", "ScoredText"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolText:
    """A text of the pool, with the ids of all sentences of its shard that read so."""

    sentence_ids: tuple[int, ...]
    sentence: TextSentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredText:
    """What a version sees in a ``PoolText`` with these sentence ids."""

    sentence_ids: tuple[int, ...]
    prediction: StoredPrediction
