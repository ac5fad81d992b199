"""Notes, predictions and embeddings from a random generator: as many as a bench needs."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from annotator.domain import Document, Entity
from annotator.model import Predictor, SentencePrediction

__all__ = ["WIDTH", "GeneratedNotes", "GeneratedPredictor", "generated_embeddings"]

WIDTH = 384  # of an embedding, as in minilm

_N_WORDS = 18
_VOCABULARY = 20_000


class GeneratedNotes(Sequence[Document]):
    """Notes of ten sentences each, made on access, the same each time.

    Args:
        n: How many notes.
        name: Prefix of their ids.
        first: The number of the first one.
        labelled: Whether the first word of each note is an entity.

    Attributes:
        seconds: Time spent generating notes so far.
    """

    per_note = 10

    def __init__(self, n: int, *, name: str, first: int = 0, labelled: bool = False) -> None:
        self._n, self._name, self._first, self._labelled = n, name, first, labelled
        self.seconds = 0.0
        letters = random.Random(0)  # noqa: S311 (words, not secrets)
        self._words = [
            "".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=letters.randint(3, 10)))
            for _ in range(_VOCABULARY)
        ]

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, i: int) -> Document: ...
    @overload
    def __getitem__(self, i: slice) -> list[Document]: ...
    def __getitem__(self, i: int | slice) -> Document | list[Document]:
        if isinstance(i, slice):
            started = time.perf_counter()
            notes = [self._note(k) for k in range(*i.indices(self._n))]
            self.seconds += time.perf_counter() - started
            return notes
        if not 0 <= i < self._n:
            raise IndexError(i)
        return self._note(i)

    def _note(self, i: int) -> Document:
        name = f"{self._name}-{self._first + i}"
        draw = random.Random(name)  # noqa: S311
        sentences = []
        for _ in range(self.per_note):
            words = draw.choices(self._words, k=_N_WORDS)
            sentences.append(" ".join([words[0].capitalize(), *words[1:]]) + ".")
        text = " ".join(sentences)
        entities: tuple[Entity, ...] = ()
        if self._labelled:
            entities = (Entity(id="e", type="Drug", start=0, end=text.index(" ")),)
        return Document(id=name, text=text, entities=entities)


def generated_embeddings(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``n`` random unit vectors, float32. Shape ``(n, WIDTH)``."""
    rows = rng.normal(size=(n, WIDTH)).astype(np.float32)
    length: NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / length


class GeneratedPredictor(Predictor):
    """Predicts no labels, with random signals and embeddings."""

    def __init__(self, *, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def predict(self, sentences: Sequence[Any]) -> list[SentencePrediction]:
        """Return a prediction for each sentence."""
        embeddings = generated_embeddings(len(sentences), self._rng)
        mnlp = self._rng.gamma(2.0, 0.1, size=len(sentences))
        return [
            SentencePrediction(signals={"mnlp": float(value)}, embedding=embedding)
            for value, embedding in zip(mnlp, embeddings, strict=True)
        ]
