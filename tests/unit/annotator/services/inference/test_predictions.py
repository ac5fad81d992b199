from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import TINY_CONFIG_XML, make_document, make_task
from run_world import register

from annotator.domain import Entity, Relation
from annotator.errors import OutOfTimeError
from annotator.model import Predictor
from annotator.services.inference import predictions
from annotator.services.inference.predictions import (
    TextSentence,
    labels_of_task,
    predict_sentences,
    segment_text,
    split_text,
    studio_prediction,
    task_confidence,
    to_text_sentences,
)
from annotator.store.database import Database
from annotator.store.documents import hash_text
from annotator.store.projects import Project
from annotator.store.tasks import open_tasks
from annotator.store.versions import StoredPrediction
from annotator.studio.config import parse_config

TEXT = "Aspirin induced severe rash . Nausea and pain after aspirin"


@dataclass
class CountingPredictor:
    """Counts the sentences that reach the model."""

    real: Predictor
    seen: list[list[str]] = field(default_factory=list)

    def predict(self, words: Sequence[Sequence[str]]) -> Any:
        self.seen += [list(one) for one in words]
        return self.real.predict(words)


@pytest.fixture
def predictor(tiny_model: Path) -> CountingPredictor:
    return CountingPredictor(Predictor.load(tiny_model, device="cpu"))


@pytest.fixture
def version_id(database: Database, project: Project, tiny_model: Path) -> int:
    return register(database, project, tiny_model).id


def sentence(text: str, start: int = 0) -> TextSentence:
    return TextSentence(start=start, text=text, text_hash=hash_text(text))


def stored(text: str, *, mnlp: float = 0.0, **fields: Any) -> StoredPrediction:
    given = {"entities": [], "relations": [], "signals": {"mnlp": mnlp}, "embedding": b"", **fields}
    return StoredPrediction(text_hash=hash_text(text), **given)


def test_a_sentence_reaches_the_model_once(
    database: Database, version_id: int, predictor: CountingPredictor
) -> None:
    sentences = [*split_text(TEXT, is_sentence=False), *split_text(TEXT, is_sentence=False)]

    first = predict_sentences(database, version_id, lambda: predictor, sentences)  # type: ignore[arg-type]
    second = predict_sentences(database, version_id, lambda: predictor, sentences)  # type: ignore[arg-type]

    assert len(predictor.seen) == len(first) == 2
    assert first == second


def test_a_killed_prediction_goes_on_where_it_was(
    database: Database,
    version_id: int,
    predictor: CountingPredictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predictions, "_CHUNK", 2)
    sentences = [sentence(f"rash number {i}") for i in range(6)]

    def stop(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_sentences(database, version_id, lambda: predictor, sentences, on_progress=stop)  # type: ignore[arg-type]
    predict_sentences(database, version_id, lambda: predictor, sentences)  # type: ignore[arg-type]

    assert len(predictor.seen) == 6


def test_what_was_predicted_before_the_deadline_is_kept(
    database: Database,
    version_id: int,
    predictor: CountingPredictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predictions, "_CHUNK_CHARS", 1)
    sentences = [sentence(f"fever number {i}") for i in range(4)]
    clock = SimpleNamespace(monotonic=iter([0.0, 0.0, 9.0]).__next__)
    monkeypatch.setattr(predictions, "time", clock)

    with pytest.raises(OutOfTimeError, match="2 of 4"):
        predict_sentences(
            database,
            version_id,
            lambda: predictor,  # type: ignore[arg-type, return-value]
            sentences,
            deadline=5.0,
        )
    monkeypatch.undo()
    predict_sentences(database, version_id, lambda: predictor, sentences)  # type: ignore[arg-type]

    assert len(predictor.seen) == 4


def test_labels_of_all_sentences_come_together_with_offsets_in_the_text(
    database: Database, version_id: int, predictor: CountingPredictor
) -> None:
    sentences = split_text(TEXT, is_sentence=False)
    predictions = predict_sentences(database, version_id, lambda: predictor, sentences)  # type: ignore[arg-type]

    entities, relations = labels_of_task(sentences, predictions)

    mentions = [TEXT[e.start : e.end] for e in entities]
    assert mentions == ["Aspirin", "severe rash", "Nausea", "pain", "aspirin"]
    assert len({e.id for e in entities}) == len(entities)
    assert {r.head for r in relations} | {r.tail for r in relations} <= {e.id for e in entities}
    assert all(0 <= e.score <= 1 for e in entities if e.score is not None)


def test_a_task_that_is_a_sentence_is_not_split() -> None:
    (whole,) = split_text(TEXT, is_sentence=True)

    assert (whole.start, whole.text) == (0, TEXT)
    assert split_text("  \n", is_sentence=True) == []
    assert split_text("  \n", is_sentence=False) == []


def test_tokens_that_a_document_brings_are_used() -> None:
    document = make_document("own", "aspirin-induced rash", tokens=[[0, 7], [7, 15], [16, 20]])

    (found,) = segment_text(document)

    assert found.tokens == ((0, 7), (7, 15), (16, 20))
    assert segment_text(make_document("plain", "a rash"))[0].tokens is None


def test_stored_sentences_count_from_the_tasks_beginning(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        make_task(session, project.id, document=make_document(text=TEXT), i_sentence=1)
        (task,) = open_tasks(session, project.id)

    (found,) = to_text_sentences(task.sentences, region_start=task.region[0])

    assert (found.start, found.text) == (0, "Nausea and pain after aspirin")


@pytest.mark.parametrize(
    ("mnlps", "confidence"),
    [([], 1.0), ([0.0], 1.0), ([0.5], 0.6065), ([0.0, 0.0, 0.0, 0.0, 0.5], (0.6065 + 2) / 3)],
    ids=["empty", "certain", "one", "hardest three"],
)
def test_a_task_is_as_certain_as_its_hardest_sentences(
    mnlps: list[float], confidence: float
) -> None:
    texts = [f"s{i}" for i in range(len(mnlps))]
    predictions = {hash_text(t): stored(t, mnlp=mnlp) for t, mnlp in zip(texts, mnlps, strict=True)}

    found = task_confidence([sentence(t) for t in texts], predictions)

    assert found == pytest.approx(confidence, abs=1e-4)


def test_labels_that_the_project_lacks_are_not_sent() -> None:
    entities = [
        Entity(id="a", type="Drug", start=0, end=7, score=0.5),
        Entity(id="b", type="Dose", start=8, end=12, score=0.5),
        Entity(id="c", type="Effect", start=23, end=27, score=0.5),
    ]
    relations = [
        Relation(type="causes", head="a", tail="c", score=0.5),
        Relation(type="causes", head="a", tail="b", score=0.5),
        Relation(type="unknown", head="a", tail="c", score=0.5),
    ]

    sent = studio_prediction(
        text=TEXT,
        config=parse_config(TINY_CONFIG_XML),
        version="v1",
        score=7.0,
        labels=(entities, relations),
    )

    assert (sent["model_version"], sent["score"]) == ("v1", 1.0)
    assert [(item["type"], item.get("id")) for item in sent["result"]] == [
        ("labels", "a"),
        ("labels", "c"),
        ("relation", None),
    ]
