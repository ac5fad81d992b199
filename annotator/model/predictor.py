"""Predictions for sentences: entities, relations, acquisition signals and an embedding."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.domain import TaggedSentence, WordEntity, WordRelation
from annotator.errors import InputError
from annotator.model.analysis import BatchAnalysis, analyse, relate
from annotator.model.batch import collate, plan_batches
from annotator.model.candidates import candidates_from_entities
from annotator.model.checkpoint import load_checkpoint
from annotator.model.joint import JointModel
from annotator.model.memory import in_halves
from annotator.model.pieces import PieceSentence
from annotator.model.precision import ChosenPrecision, Measure, Precision, choose_precision
from annotator.model.signals import BALD, SIGNALS

__all__ = ["Predictor", "SentencePrediction"]

_CPU_BUDGET = 1_536  # larger batches exceed the caches, are slower, and pad more
_DEVICE_BUDGET = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePrediction:
    """The model's predictions for one sentence.

    Attributes:
        entities: Predicted entities in order, each with its score.
        relations: Predicted relations between them, each with its score.
        signals: Acquisition signals by the names in ``annotator.model.signals``.
        embedding: Mean word state, L2-normalised; zeros for a sentence without words.
            Shape ``(H,)``, float32.
    """

    entities: tuple[WordEntity, ...] = ()
    relations: tuple[WordRelation, ...] = ()
    signals: Mapping[str, float]
    embedding: NDArray[np.float32]


class Predictor:
    """Predicts any number of sentences of any length.

    Sentences are batched by length; predictions keep their order. Calls from several threads take
    turns. A batch that does not fit into memory is halved, and later batches stay that small.

    Args:
        model: The model; it is put into evaluation mode.
        device: Where to compute; None leaves the model where it is.
        token_budget: Most padded pieces in a batch; None is 1,536 on a CPU, else 65,536.
        precision: ``fp32``, ``bf16`` for the encoder, or ``auto``: bf16 if a short trial on this
            machine shows that it is faster and that the tags stay within a bound.
        measure: How ``auto`` is measured; None is ``measure_precision``.
        bald_passes: Additional passes of the heads, with dropout, for the signal ``bald``; 0
            leaves it out.

    Raises:
        ConfigError: if there is no such precision.
    """

    def __init__(
        self,
        model: JointModel,
        *,
        device: str | torch.device | None = None,
        token_budget: int | None = None,
        precision: Precision = "fp32",
        measure: Measure | None = None,
        bald_passes: int = 0,
    ) -> None:
        self.model = (model if device is None else model.to(device)).eval()
        default = _CPU_BUDGET if self.model.device.type == "cpu" else _DEVICE_BUDGET
        self._budget = token_budget or default
        self._precision, self._reduced = choose_precision(self.model, precision, measure=measure)
        self._bald_passes = bald_passes
        self._signals = (*SIGNALS, BALD) if bald_passes else SIGNALS
        self._classes = self.model.config.relation_classes
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: str | torch.device | None = None,
        token_budget: int | None = None,
        precision: Precision = "fp32",
        bald_passes: int = 0,
    ) -> Predictor:
        """Load a checkpoint; without ``device`` a GPU is used if there is one.

        Raises:
            CheckpointError: if the checkpoint is incomplete or damaged.
        """
        found = "cuda" if torch.cuda.is_available() else "cpu"
        model = load_checkpoint(folder, device=found if device is None else device)
        return cls(model, token_budget=token_budget, precision=precision, bald_passes=bald_passes)

    @property
    def precision(self) -> ChosenPrecision:
        """The precision of the encoder; the one chosen, if it was ``auto``."""
        return self._precision

    @property
    def token_budget(self) -> int:
        """The most padded pieces in a batch."""
        return self._budget

    @property
    def network(self) -> nn.Module:
        """The encoder used for predictions, in the chosen precision."""
        own: nn.Module = self.model.encoder
        return own if self._reduced is None else self._reduced

    @property
    def width(self) -> int:
        """The width H of the embeddings."""
        return self.model.encoder_parts.width

    def predict(
        self, sentences: Sequence[Sequence[str] | TaggedSentence]
    ) -> list[SentencePrediction]:
        """Predict each sentence, given as words or tagged; its labels are ignored.

        Raises:
            InputError: if a text is given where words are expected.
        """
        _refuse_text(sentences)
        words = [_words(sentence) for sentence in sentences]
        predictions = [self._empty()] * len(words)
        present = [i for i, found in enumerate(words) if found]
        if not present:
            return predictions
        with self._lock, torch.inference_mode():
            pieces = self.model.pieces.encode([words[i] for i in present])

            def answer(chosen: Sequence[int]) -> None:
                batch = collate([pieces[i] for i in chosen], self.model.pieces)
                analysis = analyse(
                    self.model,
                    batch.to(self.model.device),
                    row_budget=self._budget,
                    network=self._reduced,
                    bald_passes=self._bald_passes,
                )
                for i, prediction in zip(chosen, self._unpack(analysis), strict=True):
                    predictions[present[i]] = prediction

            self._in_batches(pieces, answer)
        return predictions

    def _in_batches(
        self, pieces: Sequence[PieceSentence], work: Callable[[Sequence[int]], None]
    ) -> None:
        costs = [sentence.cost for sentence in pieces]
        for planned in plan_batches(costs, token_budget=self._budget):
            chosen: list[int] = planned.tolist()
            n_at_once = in_halves(chosen, work, device=self.model.device)
            if n_at_once < len(chosen):
                fitting = n_at_once * max(costs[i] for i in chosen)
                self._budget = max(1, min(self._budget, fitting))

    def predict_relations(
        self, words: Sequence[str], entities: Sequence[WordEntity]
    ) -> tuple[WordRelation, ...]:
        """Predict the relations among given entities; indices refer to ``entities``.

        Raises:
            LabelError: if an entity type is not among those of the model.
            InputError: if an entity ends past the words, or a text is given for words.
        """
        return self.predict_relations_among([words], [entities])[0]

    def predict_relations_among(
        self, sentences: Sequence[Sequence[str]], entities: Sequence[Sequence[WordEntity]]
    ) -> list[tuple[WordRelation, ...]]:
        """Predict, for each sentence, the relations among its given entities.

        Raises:
            LabelError: if an entity type is not among those of the model.
            InputError: if an entity ends past its words, or a text is given for words.
        """
        _refuse_text(sentences)
        n_words = [len(words) for words in sentences]
        given = candidates_from_entities(entities, n_words=n_words, config=self.model.config)
        found: list[list[WordRelation]] = [[] for _ in sentences]
        related = [i for i, given in enumerate(entities) if len(given) > 1]
        if self.model.relation is None or not related:
            return [() for _ in sentences]
        with self._lock, torch.inference_mode():
            pieces = self.model.pieces.encode([sentences[i] for i in related])

            def answer(chosen: Sequence[int]) -> None:
                places = [related[i] for i in chosen]
                batch = collate([pieces[i] for i in chosen], self.model.pieces)
                states = self.model.encode(
                    batch.to(self.model.device), row_budget=self._budget, network=self._reduced
                )
                candidates = given.take(places).to(self.model.device)
                scores = torch.ones_like(candidates.mask, dtype=states.dtype)
                relations = relate(self.model, states, candidates, scores=scores)
                for (k, head, tail, label), score in zip(
                    relations.index.tolist(), relations.score.tolist(), strict=True
                ):
                    found[places[k]].append(self._relation(head, tail, label, score))

            self._in_batches(pieces, answer)
        return [tuple(links) for links in found]

    def _relation(self, head: int, tail: int, label: int, score: float) -> WordRelation:
        return WordRelation(type=self._classes[label], head=head, tail=tail, score=score)

    def _empty(self) -> SentencePrediction:
        return SentencePrediction(
            signals=dict.fromkeys(self._signals, 0.0),
            embedding=np.zeros(self.width, dtype=np.float32),
        )

    def _unpack(self, analysis: BatchAnalysis) -> list[SentencePrediction]:
        n_sentences = len(analysis.embedding)
        names = self.model.config.schema.entity_types
        candidates = analysis.candidates
        entities: list[list[WordEntity]] = [[] for _ in range(n_sentences)]
        where = candidates.mask.nonzero(as_tuple=True)
        columns = (candidates.first, candidates.last, candidates.types, analysis.entity_scores)
        rows = zip(where[0].tolist(), *(_pick(column, where) for column in columns), strict=True)
        for i, first, last, type_, score in rows:
            entities[i].append(
                WordEntity(type=names[int(type_)], first=int(first), last=int(last), score=score)
            )
        relations: list[list[WordRelation]] = [[] for _ in range(n_sentences)]
        found = analysis.relations
        for (i, head, tail, label), score in zip(
            found.index.tolist(), found.score.tolist(), strict=True
        ):
            relations[i].append(self._relation(head, tail, label, score))
        signals = analysis.signals.cpu().numpy().astype(np.float64)
        embedding = analysis.embedding.cpu().numpy()
        return [
            SentencePrediction(
                entities=tuple(entities[i]),
                relations=tuple(relations[i]),
                signals=dict(zip(self._signals, signals[i].tolist(), strict=True)),
                embedding=embedding[i].copy(),
            )
            for i in range(n_sentences)
        ]


def _refuse_text(sentences: Sequence[object]) -> None:
    # A string is a sequence of strings, its characters: it would be read letter by letter.
    if isinstance(sentences, str) or any(isinstance(one, str) for one in sentences):
        raise InputError(
            "expected sentences as lists of words, found a text: cut it with "
            "annotator.text.split_sentences and annotator.text.tokenize"
        )


def _words(sentence: Sequence[str] | TaggedSentence) -> Sequence[str]:
    return sentence.words if isinstance(sentence, TaggedSentence) else sentence


def _pick(values: Tensor, where: tuple[Tensor, ...]) -> list[float]:
    picked: list[float] = values[where].tolist()
    return picked
