from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_bert import EIGHT_SENTENCES, make_tagged

from annotator.domain import TaggedSentence
from annotator.errors import ShapeError
from annotator.model import Predictor, SentencePrediction
from annotator.training import Counts, evaluate, evaluate_given_entities

GOLD = make_tagged(
    "aspirin induced severe rash and fever",
    ("Drug", 0, 0),
    ("Effect", 2, 3),
    ("Effect", 5, 5),
    relations=(("causes", 0, 1), ("causes", 0, 2)),
)


def as_prediction(sentence: TaggedSentence) -> SentencePrediction:
    return SentencePrediction(
        entities=sentence.entities,
        relations=sentence.relations,
        signals={},
        embedding=np.zeros(2, dtype=np.float32),
    )


def test_gold_scores_a_hundred() -> None:
    scores = evaluate([GOLD], [as_prediction(GOLD)]).to_json()

    assert scores["ner"]["micro"] == {"p": 100.0, "r": 100.0, "f1": 100.0}
    assert scores["re"]["macro"] == {"p": 100.0, "r": 100.0, "f1": 100.0}
    assert scores["ner"]["types"]["Effect"]["n"] == 2
    assert scores["n_sentences"] == 1


def test_entity_needs_type_and_both_ends() -> None:
    predicted = make_tagged(GOLD_TEXT, ("Effect", 0, 0), ("Effect", 3, 3), ("Effect", 5, 5))

    scores = evaluate([GOLD], [as_prediction(predicted)])

    assert scores.ner.micro.tp == 1
    assert scores.ner.boundary.tp == 2
    assert scores.ner.types["Drug"].recall == 0.0
    assert scores.ner.types["Effect"].precision == pytest.approx(100 / 3)


GOLD_TEXT = " ".join(GOLD.words)


def test_relation_needs_type_and_both_entities() -> None:
    predicted = make_tagged(
        GOLD_TEXT,
        ("Drug", 0, 0),
        ("Drug", 2, 3),
        ("Effect", 5, 5),
        relations=(("causes", 0, 1), ("causes", 0, 2), ("causes", 2, 0)),
    )

    scores = evaluate([GOLD], [as_prediction(predicted)])

    assert (scores.re.micro.tp, scores.re.micro.n_pred, scores.re.micro.n_gold) == (1, 3, 2)
    assert scores.re.boundary.tp == 2


def test_counts_of_sentences_add_up_to_the_micro_scores() -> None:
    empty = make_tagged("nothing here")

    scores = evaluate([GOLD, empty], [as_prediction(empty), as_prediction(empty)])

    assert scores.sentence_counts.tolist() == [[0, 0, 3, 0, 0, 2], [0, 0, 0, 0, 0, 0]]
    assert scores.ner.micro.f1 == 0.0


def test_macro_is_the_mean_over_types() -> None:
    predicted = make_tagged(GOLD_TEXT, ("Effect", 2, 3), ("Effect", 5, 5))

    scores = evaluate([GOLD], [as_prediction(predicted)])

    assert scores.ner.macro()["f1"] == 50.0


def test_nothing_at_all_scores_zero() -> None:
    scores = evaluate([], []).to_json()

    assert scores["ner"]["macro"] == {"p": 0.0, "r": 0.0, "f1": 0.0}
    assert scores["n_sentences"] == 0


def test_missing_prediction_is_an_error() -> None:
    with pytest.raises(ShapeError, match="1 gold sentences but 0"):
        evaluate([GOLD], [])


def test_relations_among_gold_entities_are_scored_apart(tiny_model: Path) -> None:
    predictor = Predictor.load(tiny_model, device="cpu")

    scores = evaluate_given_entities(EIGHT_SENTENCES, predictor)

    assert scores.micro == Counts(tp=5, n_pred=5, n_gold=5)
