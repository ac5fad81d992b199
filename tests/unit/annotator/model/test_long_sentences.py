"""Sentences of more words than are predicted at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tiny_bert import EIGHT_SENTENCES

from annotator.domain import LabelSchema, WordEntity
from annotator.model import JointModel, Predictor
from annotator.model import predictor as module
from annotator.model.analysis import BatchAnalysis
from annotator.model.batch import Batch
from annotator.model.prediction import part_spans
from annotator.text import MAX_WORDS

WORDS = [word for sentence in EIGHT_SENTENCES for word in sentence.words]


def _words(n: int) -> list[str]:
    return [WORDS[i % len(WORDS)] for i in range(n)]


@pytest.fixture
def predictor(build_model: Callable[..., JointModel]) -> Predictor:
    model = build_model(legal_pairs=False)
    model.relation.biaffine.U.data.mul_(300.0)  # type: ignore[union-attr]
    return Predictor(model, token_budget=600)


@pytest.mark.parametrize("n", [0, 1, MAX_WORDS, MAX_WORDS + 1, 16_000])
def test_parts_cover_all_words_and_none_is_too_long(n: int) -> None:
    spans = part_spans(n)

    assert [i for start, end in spans for i in range(start, end)] == list(range(n))
    assert max((end - start for start, end in spans), default=0) <= MAX_WORDS


def test_long_sentence_is_predicted_like_its_parts(predictor: Predictor) -> None:
    words = _words(MAX_WORDS + 100)
    spans = part_spans(len(words))

    (whole,) = predictor.predict([words])

    parts = predictor.predict([words[a:b] for a, b in spans])
    expected = [
        (e.type, a + e.first, a + e.last)
        for (a, _), part in zip(spans, parts, strict=True)
        for e in part.entities
    ]
    assert [(e.type, e.first, e.last) for e in whole.entities] == expected
    assert len(whole.relations) == sum(len(part.relations) for part in parts) > 0
    assert all(
        any(a <= whole.entities[r.head].first < b > whole.entities[r.tail].last for a, b in spans)
        for r in whole.relations
    )
    assert np.linalg.norm(whole.embedding) == pytest.approx(1.0)


def test_signals_of_a_long_sentence_are_those_of_its_parts_together(predictor: Predictor) -> None:
    words = _words(MAX_WORDS + 300)

    (whole,) = predictor.predict([words])

    parts = [part.signals for part in predictor.predict([words[a:b] for a, b in part_spans(812)])]
    assert whole.signals["n_words"] == 812
    assert whole.signals["n_pairs"] == sum(part["n_pairs"] for part in parts)
    assert whole.signals["ltp"] == pytest.approx(max(part["ltp"] for part in parts), abs=1e-4)
    assert whole.signals["mnlp"] == pytest.approx(np.mean([p["mnlp"] for p in parts]), abs=1e-4)
    assert all(0.0 <= whole.signals[name] <= 1.0 for name in ("ltp", "least_confidence", "margin"))


def test_given_entities_are_related_within_a_part(predictor: Predictor) -> None:
    places = [3, MAX_WORDS + 50, MAX_WORDS + 60]
    given = [WordEntity(type="Drug", first=i, last=i) for i in places]

    relations = predictor.predict_relations(_words(2 * MAX_WORDS), given)

    assert {(r.head, r.tail) for r in relations} <= {(1, 2), (2, 1)}
    assert relations


def test_short_sentence_is_answered_before_a_long_one_is_done(
    build_model: Callable[..., JointModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(build_model(schema=LabelSchema(entity_types=("X",))), token_budget=600)
    real, sizes = module.analyse, []
    short = threading.Thread(target=predictor.predict, args=([["rash"]],))

    def analyse(model: JointModel, batch: Batch, **options: Any) -> BatchAnalysis:
        sizes.append(int(batch.word_mask.sum()))
        if len(sizes) == 1:
            short.start()
            until = time.monotonic() + 5
            while not predictor._turns._waiting and time.monotonic() < until:
                time.sleep(0.001)
        return real(model, batch, **options)

    monkeypatch.setattr(module, "analyse", analyse)

    predictor.predict([_words(8 * MAX_WORDS)])
    short.join()

    assert len(sizes) == 9
    assert sizes.index(1) < 8
