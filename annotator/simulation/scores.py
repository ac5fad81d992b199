"""What a round's model says about the pool: signals and embeddings, in memory or in a file."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from annotator.active import ScoredPool
from annotator.model import SentencePrediction

__all__ = ["PoolScores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolScores:
    """The signals and embeddings of all sentences of a pool.

    Attributes:
        names: Names of the signals.
        signals: Shape ``(pool, signals)``.
        embeddings: L2-normalised. Shape ``(pool, hidden)``.
    """

    names: tuple[str, ...]
    signals: NDArray[Any]
    embeddings: NDArray[Any]

    @classmethod
    def of(cls, predicted: Sequence[SentencePrediction]) -> PoolScores:
        """Take the signals and embeddings from predictions."""
        names = tuple(sorted(predicted[0].signals))
        return cls(
            names=names,
            signals=np.array([[one.signals[name] for name in names] for one in predicted]),
            embeddings=np.stack([one.embedding for one in predicted]),
        )

    def scored(self, rows: Sequence[int], *, labelled: Sequence[int]) -> ScoredPool:
        """Return some rows as a pool for strategies."""
        chosen, known = np.array(rows, dtype=np.int64), np.array(labelled, dtype=np.int64)
        return ScoredPool(
            signals={name: self.signals[chosen, k] for k, name in enumerate(self.names)},
            n=len(chosen),
            embeddings=self.embeddings[chosen],
            labelled=self.embeddings[known],
        )

    def save(self, path: Path) -> None:
        """Write the file completely or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.npz")
        np.savez(
            aside, names=np.array(self.names), signals=self.signals, embeddings=self.embeddings
        )
        aside.replace(path)

    @classmethod
    def load(cls, path: Path) -> PoolScores | None:
        """Read what ``save`` wrote; None if it is absent or damaged."""
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                names = tuple(str(name) for name in file["names"])
                return cls(names=names, signals=file["signals"], embeddings=file["embeddings"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None
