"""Predictions for sentences: entities, relations, acquisition signals and an embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
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
from annotator.model.prediction import SentencePrediction, join_predictions, part_spans
from annotator.model.signals import BALD, SIGNALS
from annotator.model.turns import Turns

__all__ = ["Predictor"]

_CPU_BUDGET = 1_536  # larger batches exceed the caches, are slower, and pad more
_DEVICE_BUDGET = 65_536
_ENCODED_AT_ONCE = 32  # parts of sentences


class Predictor:
    """Predicts any number of sentences of any length.

    Sentences are batched by length; predictions keep their order. Those of more than ``MAX_WORDS``
    words are predicted in parts. Calls from several threads take turns after each batch, so that
    short ones need not wait for the end of long ones. A batch that does not fit into memory is
    halved, and later batches stay that small.

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
        self._turns = Turns()

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
        spans = [part_spans(len(found)) for found in words]
        parts = [found[a:b] for found, cuts in zip(words, spans, strict=True) for a, b in cuts]
        predicted = iter(self._predict_parts(parts))
        return [
            join_predictions([next(predicted) for _ in cuts], cuts) if cuts else self._empty()
            for cuts in spans
        ]

    @torch.inference_mode()
    def _predict_parts(self, parts: Sequence[Sequence[str]]) -> list[SentencePrediction]:
        predictions = [self._empty()] * len(parts)
        pieces = self._encode(parts)

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
                predictions[i] = prediction

        self._in_batches(pieces, answer)
        return predictions

    def _encode(self, parts: Sequence[Sequence[str]]) -> list[PieceSentence]:
        pieces: list[PieceSentence] = []
        for i in range(0, len(parts), _ENCODED_AT_ONCE):
            with self._turns:
                pieces += self.model.pieces.encode(parts[i : i + _ENCODED_AT_ONCE])
        return pieces

    def _in_batches(
        self, pieces: Sequence[PieceSentence], work: Callable[[Sequence[int]], None]
    ) -> None:
        costs = [sentence.cost for sentence in pieces]
        for planned in plan_batches(costs, token_budget=self._budget):
            chosen: list[int] = planned.tolist()
            with self._turns:
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

        In each part of a sentence, as in ``predict``, at most ``max_candidates`` are looked at.

        Raises:
            LabelError: if an entity type is not among those of the model.
            InputError: if an entity ends past its words, or a text is given for words.
        """
        _refuse_text(sentences)
        n_words = [len(words) for words in sentences]
        candidates_from_entities(entities, n_words=n_words, config=self.model.config)  # or raises
        found: list[list[WordRelation]] = [[] for _ in sentences]
        if self.model.relation is not None:
            groups = [
                group
                for i, among in enumerate(entities)
                for group in _groups(i, among, n_words[i], self.model.config.max_candidates)
            ]
            self._relate_groups(groups, sentences, found)
        return [tuple(links) for links in found]

    @torch.inference_mode()
    def _relate_groups(
        self,
        groups: Sequence[_Group],
        sentences: Sequence[Sequence[str]],
        found: Sequence[list[WordRelation]],
    ) -> None:
        pieces = self._encode([sentences[g.i_sentence][g.start : g.end] for g in groups])

        def answer(chosen: Sequence[int]) -> None:
            batch = collate([pieces[i] for i in chosen], self.model.pieces)
            states = self.model.encode(
                batch.to(self.model.device), row_budget=self._budget, network=self._reduced
            )
            among = [groups[i] for i in chosen]
            candidates = candidates_from_entities(
                [group.entities for group in among],
                n_words=[group.end - group.start for group in among],
                config=self.model.config,
            ).to(self.model.device)
            scores = torch.ones_like(candidates.mask, dtype=states.dtype)
            relations = relate(self.model, states, candidates, scores=scores)
            for (k, head, tail, label), score in zip(
                relations.index.tolist(), relations.score.tolist(), strict=True
            ):
                group = among[k]
                found[group.i_sentence].append(
                    self._relation(group.places[head], group.places[tail], label, score)
                )

        self._in_batches(pieces, answer)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The given entities of a part of a sentence; ``places`` are their places among all of it.

    ``entities`` count their words from the part's first, ``start``.
    """

    i_sentence: int
    start: int
    end: int
    entities: tuple[WordEntity, ...]
    places: tuple[int, ...]


def _groups(
    i_sentence: int, given: Sequence[WordEntity], n_words: int, limit: int
) -> Iterator[_Group]:
    for start, end in part_spans(n_words):
        places = [i for i, e in enumerate(given) if start <= e.first and e.last < end][:limit]
        if len(places) > 1:
            yield _Group(
                i_sentence=i_sentence,
                start=start,
                end=end,
                entities=tuple(
                    replace(given[i], first=given[i].first - start, last=given[i].last - start)
                    for i in places
                ),
                places=tuple(places),
            )


def _words(sentence: Sequence[str] | TaggedSentence) -> Sequence[str]:
    return sentence.words if isinstance(sentence, TaggedSentence) else sentence


def _pick(values: Tensor, where: tuple[Tensor, ...]) -> list[float]:
    picked: list[float] = values[where].tolist()
    return picked
