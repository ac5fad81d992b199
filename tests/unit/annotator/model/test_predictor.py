from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from tiny_bert import EIGHT_SENTENCES

from annotator.domain import LabelSchema, WordEntity
from annotator.errors import InputError, LabelError
from annotator.model import JointModel, Predictor, SentencePrediction
from annotator.model.signals import SIGNALS

WORDS = [list(sentence.words) for sentence in EIGHT_SENTENCES]


def flat(prediction: SentencePrediction) -> list[float]:
    scores = [found.score or 0.0 for found in (*prediction.entities, *prediction.relations)]
    return [*scores, *prediction.signals.values(), *prediction.embedding.tolist()]


def bare(prediction: SentencePrediction) -> list[tuple[object, ...]]:
    entities = [(e.type, e.first, e.last) for e in prediction.entities]
    return [*entities, *((r.type, r.head, r.tail) for r in prediction.relations)]


@pytest.fixture
def predictor(build_model: Callable[..., JointModel]) -> Predictor:
    return Predictor(build_model(), token_budget=40)


def test_batched_predictions_equal_those_one_by_one(predictor: Predictor) -> None:
    together = predictor.predict(WORDS)

    alone = [predictor.predict([words])[0] for words in WORDS]

    assert [bare(found) for found in together] == [bare(found) for found in alone]
    np.testing.assert_allclose(
        np.concatenate([flat(found) for found in together]),
        np.concatenate([flat(found) for found in alone]),
        rtol=1e-3,
        atol=1e-4,
    )


def test_predictions_come_in_the_order_of_the_sentences(predictor: Predictor) -> None:
    forwards, backwards = predictor.predict(WORDS), predictor.predict(WORDS[::-1])

    assert [bare(found) for found in forwards] == [bare(found) for found in backwards[::-1]]


def test_word_with_a_lone_surrogate_is_predicted_like_any_other(predictor: Predictor) -> None:
    found = predictor.predict([["aspirin", "\ud83d", "rash"]])

    assert found[0].signals["n_words"] == 3


def test_tagged_sentences_are_predicted_by_their_words(predictor: Predictor) -> None:
    found = predictor.predict(EIGHT_SENTENCES)

    assert [bare(one) for one in found] == [bare(one) for one in predictor.predict(WORDS)]


def test_sentence_without_words_has_an_empty_prediction(predictor: Predictor) -> None:
    first, empty = predictor.predict([WORDS[0], []])

    assert first.signals["n_words"] == len(WORDS[0])
    assert (empty.entities, empty.relations) == ((), ())
    assert empty.signals == dict.fromkeys(SIGNALS, 0.0)
    assert not empty.embedding.any()
    assert predictor.predict([]) == []


def test_five_thousand_words_are_predicted_to_the_last(
    build_model: Callable[..., JointModel],
) -> None:
    predictor = Predictor(build_model(schema=LabelSchema(entity_types=("Drug",))))
    words = ["aspirin", "induced", "rash", "😀", "and"] * 1000

    [found] = predictor.predict([words])

    assert found.signals["n_words"] == 5000
    assert max(entity.last for entity in found.entities) > 4900


def test_scores_are_probabilities_and_embeddings_have_length_one(predictor: Predictor) -> None:
    found = predictor.predict(WORDS)

    scores = [item.score for one in found for item in (*one.entities, *one.relations)]
    assert scores
    assert all(score is not None and 0.0 <= score <= 1.0 for score in scores)
    np.testing.assert_allclose([np.linalg.norm(one.embedding) for one in found], 1.0, rtol=1e-5)
    assert found[0].embedding.dtype == np.float32


def test_blocks_of_pairs_give_the_same_relations(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [WORDS[0] * 6]
    [whole] = predictor.predict(words)

    monkeypatch.setattr("annotator.model.analysis._MAX_PAIR_SCORES", 50)
    [blocks] = predictor.predict(words)

    assert sorted(bare(blocks), key=str) == sorted(bare(whole), key=str)
    assert blocks.signals == pytest.approx(whole.signals, rel=1e-4)


def test_relations_among_given_entities_use_their_indices(
    build_model: Callable[..., JointModel],
) -> None:
    predictor = Predictor(build_model(legal_pairs=True))
    entities = [
        WordEntity(type="Effect", first=2, last=3),
        WordEntity(type="Drug", first=0, last=0),
    ]
    predictor.model.relation.biaffine.linear_head.bias.data[1] = 50.0  # type: ignore[union-attr]

    relations = predictor.predict_relations(WORDS[0], entities)

    assert [(r.type, r.head, r.tail) for r in relations] == [("causes", 1, 0)]
    assert relations[0].score == pytest.approx(1.0)


def test_relations_among_given_entities_are_the_same_in_batches(
    build_model: Callable[..., JointModel],
) -> None:
    predictor = Predictor(build_model(legal_pairs=False), token_budget=24)
    predictor.model.relation.biaffine.U.data.mul_(300.0)  # type: ignore[union-attr]
    sentences = [sentence.words for sentence in EIGHT_SENTENCES]
    entities = [sentence.entities for sentence in EIGHT_SENTENCES]

    together = predictor.predict_relations_among(sentences, entities)

    alone = [predictor.predict_relations(*pair) for pair in zip(sentences, entities, strict=True)]
    assert [[(r.type, r.head, r.tail) for r in links] for links in together] == [
        [(r.type, r.head, r.tail) for r in links] for links in alone
    ]
    assert sum(map(len, together)) > 0


def test_given_entity_of_an_unknown_type_is_refused(predictor: Predictor) -> None:
    with pytest.raises(LabelError, match="Gene"):
        predictor.predict_relations(["x"], [WordEntity(type="Gene", first=0, last=0)])


def test_schema_with_one_type_and_no_relation_predicts(
    build_model: Callable[..., JointModel],
) -> None:
    predictor = Predictor(build_model(schema=LabelSchema(entity_types=("Drug",))))

    found = predictor.predict(WORDS)

    assert all(one.relations == () and one.signals["hidden_pairs"] == 0.0 for one in found)


def test_argmax_decoding_and_reduced_precision_predict_too(
    build_model: Callable[..., JointModel],
) -> None:
    predictor = Predictor(build_model(decoding="argmax"), precision="bf16")

    assert len(predictor.predict(WORDS)) == len(WORDS)


def test_threads_get_the_answers_to_their_own_sentences(predictor: Predictor) -> None:
    expected = [bare(predictor.predict([words])[0]) for words in WORDS]
    answers: dict[int, list[tuple[object, ...]]] = {}
    threads = [
        threading.Thread(
            target=lambda i=i: answers.update({i: bare(predictor.predict([WORDS[i]])[0])})
        )
        for i in range(len(WORDS))
    ]

    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert [answers[i] for i in range(len(WORDS))] == expected


@pytest.mark.parametrize(
    "ask",
    [
        lambda predictor: predictor.predict("aspirin induced a rash"),
        lambda predictor: predictor.predict(["aspirin induced a rash"]),
        lambda predictor: predictor.predict([["fever"], "aspirin induced a rash"]),
        lambda predictor: predictor.predict_relations("aspirin induced a rash", []),
        lambda predictor: predictor.predict_relations_among(["aspirin"], [[]]),
    ],
    ids=["text", "texts", "mixed", "relations", "relations among"],
)
def test_a_text_is_not_read_letter_by_letter(
    predictor: Predictor, ask: Callable[[Predictor], object]
) -> None:
    with pytest.raises(InputError, match="tokenize") as raised:
        ask(predictor)

    assert "aspirin" not in str(raised.value)
