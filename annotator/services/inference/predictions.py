"""Predictions of sentences, cached in the database, and combined for whole tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from annotator.domain import Document, Entity, Relation, Token
from annotator.errors import OutOfTimeError, StoreError
from annotator.store.database import Database
from annotator.store.documents import StoredSentence, hash_text
from annotator.store.versions import StoredPrediction, predictions_for, save_predictions
from annotator.studio.codec import labels_to_result
from annotator.studio.config import LabelConfig
from annotator.studio.page import Page
from annotator.text import MAX_WORDS, count_length_cuts, segment_document, tokenize

if TYPE_CHECKING:  # the light commands load no torch
    from annotator.model import Predictor, SentencePrediction

__all__ = [
    "PoolText",
    "ScoredText",
    "TextSentence",
    "compute_predictions",
    "describe_bounds",
    "labels_of_task",
    "predict_sentences",
    "segment_text",
    "split_text",
    "studio_prediction",
    "task_confidence",
    "to_text_sentences",
]

_CHUNK = 256
_CHUNK_CHARS = 32_768  # some seconds of computing on a CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSentence:
    """A sentence of a task's text; ``start`` counts from the beginning of that text."""

    start: int
    text: str
    text_hash: str
    tokens: tuple[tuple[int, int], ...] | None = None


def split_text(text: str, *, is_sentence: bool) -> list[TextSentence]:
    """Split the text of a task; with ``is_sentence`` it stays whole."""
    if is_sentence:
        if not text.strip():
            return []
        return [TextSentence(start=0, text=text, text_hash=hash_text(text))]
    return segment_text(Document(id="task", text=text))


def segment_text(document: Document) -> list[TextSentence]:
    """Split a document into sentences, using its own tokens where it has them."""
    segmentation, _ = segment_document(document)
    own = "tokens" in document.meta
    sentences = []
    for i, s in enumerate(segmentation.sentences):
        text = document.text[s.start : s.end]
        tokens = tuple(
            (t.start - s.start, t.end - s.start) for t in segmentation.sentence_tokens(i)
        )
        sentences.append(
            TextSentence(
                start=s.start,
                text=text,
                text_hash=hash_text(text),
                tokens=tokens if own else None,
            )
        )
    return sentences


def to_text_sentences(
    sentences: Iterable[StoredSentence], *, region_start: int
) -> list[TextSentence]:
    """Convert stored sentences to sentences of a task whose text begins at ``region_start``."""
    return [
        TextSentence(
            start=s.start - region_start, text=s.text, text_hash=s.text_hash, tokens=s.tokens
        )
        for s in sentences
    ]


def predict_sentences(
    database: Database,
    version_id: int,
    predictor: Callable[[], Predictor],
    sentences: Iterable[TextSentence],
    *,
    on_progress: Callable[[int, int], None] | None = None,
    deadline: float | None = None,
    on_unstored: Callable[[StoreError], None] | None = None,
) -> dict[str, StoredPrediction]:
    """Return a prediction for each sentence, by text hash; stored ones are reused.

    New predictions are stored in chunks, each in its own transaction, so a killed run continues
    where it stopped. ``predictor`` loads the model; it is called only if something is new. No chunk
    is begun after ``deadline``, a time of ``time.monotonic``. ``on_unstored`` is told of a chunk
    that could not be stored, which is an error without it.

    Raises:
        OutOfTimeError: if the deadline has passed and sentences are left.
    """
    unique = {s.text_hash: s for s in sentences}
    with database.read() as session:
        found = predictions_for(session, version_id, unique)
    missing = [s for h, s in unique.items() if h not in found]
    n_done = 0
    for part in _chunks(missing):
        if deadline is not None and time.monotonic() > deadline:
            raise OutOfTimeError(
                f"{n_done} of {len(missing)} sentences were predicted in the time of one request "
                "(setting max_predict_s) and are stored: ask again, the rest goes on from there"
            )
        fresh = compute_predictions(predictor(), part)
        try:
            with database.write() as session:
                save_predictions(session, version_id, fresh)
        except StoreError as error:
            if on_unstored is None:
                raise
            on_unstored(error)
        found.update({p.text_hash: p for p in fresh})
        n_done += len(part)
        if on_progress is not None:
            on_progress(n_done, len(missing))
    return found


def _chunks(sentences: Sequence[TextSentence]) -> Iterator[list[TextSentence]]:
    chunk: list[TextSentence] = []
    n_chars = 0
    for sentence in sentences:
        chunk.append(sentence)
        n_chars += len(sentence.text)
        if len(chunk) >= _CHUNK or n_chars >= _CHUNK_CHARS:
            yield chunk
            chunk, n_chars = [], 0
    if chunk:
        yield chunk


def compute_predictions(
    predictor: Predictor, sentences: Sequence[TextSentence]
) -> list[StoredPrediction]:
    """Predict sentences anew, ignoring the database; nothing is stored."""
    tokens = [
        tuple(Token(start=a, end=b) for a, b in s.tokens) if s.tokens else tokenize(s.text)
        for s in sentences
    ]
    words = [
        [s.text[t.start : t.end] for t in inside]
        for s, inside in zip(sentences, tokens, strict=True)
    ]
    predictions = predictor.predict(words)
    return [
        _to_stored(sentence.text_hash, inside, prediction)
        for sentence, inside, prediction in zip(sentences, tokens, predictions, strict=True)
    ]


def _to_stored(
    text_hash: str, tokens: Sequence[Token], prediction: SentencePrediction
) -> StoredPrediction:
    return StoredPrediction(
        text_hash=text_hash,
        entities=[
            {
                "type": e.type,
                "start": tokens[e.first].start,
                "end": tokens[e.last].end,
                "score": _round(e.score),
            }
            for e in prediction.entities
        ],
        relations=[
            {"type": r.type, "head": r.head, "tail": r.tail, "score": _round(r.score)}
            for r in prediction.relations
        ],
        signals={name: float(value) for name, value in prediction.signals.items()},
        embedding=np.asarray(prediction.embedding, dtype=np.float16).tobytes(),
    )


def _round(score: float | None) -> float:
    return round(min(max(score if score is not None else 1.0, 0.0), 1.0), 6)


def describe_bounds(text: str, *, is_sentence: bool) -> str | None:
    """Say how often a task's text is cut only because a sentence is too long; None if never."""
    if is_sentence:
        n_cuts = max(0, -(-len(tokenize(text)) // MAX_WORDS) - 1)
    else:
        n_cuts = count_length_cuts(Document(id="task", text=text))
    if not n_cuts:
        return None
    return (
        f"cut at {n_cuts} places where a sentence has more than {MAX_WORDS} words: no entity "
        "and no relation is predicted across them"
    )


def labels_of_task(
    sentences: Sequence[TextSentence], predictions: Mapping[str, StoredPrediction]
) -> tuple[tuple[Entity, ...], tuple[Relation, ...]]:
    """Combine the predictions of a task's sentences. Offsets count in the task's text."""
    entities: list[Entity] = []
    relations: list[Relation] = []
    for sentence in sentences:
        prediction = predictions[sentence.text_hash]
        first = len(entities)
        entities += [
            Entity(
                id=f"e{first + i + 1}",
                type=e["type"],
                start=sentence.start + e["start"],
                end=sentence.start + e["end"],
                score=e["score"],
            )
            for i, e in enumerate(prediction.entities)
        ]
        relations += [
            Relation(
                type=r["type"],
                head=f"e{first + r['head'] + 1}",
                tail=f"e{first + r['tail'] + 1}",
                score=r["score"],
            )
            for r in prediction.relations
        ]
    return tuple(entities), tuple(relations)


def task_confidence(
    sentences: Sequence[TextSentence], predictions: Mapping[str, StoredPrediction]
) -> float:
    """Return exp(-mnlp) averaged over the three least certain sentences; 1.0 without any.

    A long document is as uncertain as its hardest passages, not as its average.
    """
    certain = sorted(
        float(np.exp(-max(0.0, predictions[s.text_hash].signals.get("mnlp", 0.0))))
        for s in sentences
    )
    return float(np.mean(certain[:3])) if certain else 1.0


def studio_prediction(
    *,
    text: str | Page,
    config: LabelConfig,
    version: str,
    score: float,
    labels: tuple[Sequence[Entity], Sequence[Relation]],
) -> dict[str, Any]:
    """Return a prediction in Label Studio's format, without labels that its project lacks."""
    known = [e for e in labels[0] if e.type in config.schema.entity_types]
    ids = {e.id for e in known}
    relations = [
        r
        for r in labels[1]
        if r.type in config.schema.relation_types and r.head in ids and r.tail in ids
    ]
    return {
        "model_version": version,
        "score": min(max(score, 0.0), 1.0),
        "result": labels_to_result(known, relations, text=text, config=config),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolText:
    """A text of the pool, with the ids of all sentences of its shard that have this text."""

    sentence_ids: tuple[int, ...]
    sentence: TextSentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredText:
    """A version's prediction for the ``PoolText`` with these sentence ids."""

    sentence_ids: tuple[int, ...]
    prediction: StoredPrediction
