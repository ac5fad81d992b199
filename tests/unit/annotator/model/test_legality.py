"""Only relations that the schema allows between two types, wherever scores of pairs are read.

The oracle is the same model without the type mask, read pair by pair. Between any two types of
``SCHEMA`` that may be related there are classes that hold and classes that do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tiny_bert import EIGHT_SENTENCES
from torch import Tensor

from annotator.domain import LabelSchema
from annotator.model import JointModel, Predictor
from annotator.model.analysis import analyse
from annotator.model.batch import Batch, GoldEncoder, collate
from annotator.model.candidates import CandidateSet, candidates_from_entities
from annotator.model.signals import head_disagreement

SCHEMA = LabelSchema(
    entity_types=("Drug", "Effect", "Dose"),
    relation_types=("causes", "treats", "has"),
    pairs=frozenset({("causes", "Drug", "Effect"), ("treats", "Effect", "Drug"),
                     ("has", "Drug", "Dose")}),
)  # fmt: skip
CLASSES = ("NEG", *SCHEMA.relation_types)
SENTENCES = tuple(sentence for sentence in EIGHT_SENTENCES if len(sentence.entities) > 1)
WORDS = [sentence.words for sentence in SENTENCES]
Pair = tuple[int, int, int]


@pytest.fixture
def build(build_model: Callable[..., JointModel]) -> Callable[..., JointModel]:
    """Builds a model that sees no Dose and whose scores of pairs vary, all of them below 0."""

    def make(*, legal_pairs: bool = True, shift: tuple[float, ...] = (0.0,) * 4) -> JointModel:
        model = build_model(schema=SCHEMA, candidates="gold", legal_pairs=legal_pairs)
        assert model.relation is not None
        assert model.relation.biaffine.U is not None
        model.relation.biaffine.U.data.mul_(200.0)
        model.relation.biaffine.linear_head.bias.data.copy_(torch.tensor(shift) - 9.0)
        model.ner.output.weight.data.mul_(4.0)
        model.ner.output.bias.data[9:] = -50.0
        return model

    return make


def make_batch(model: JointModel) -> Batch:
    gold = GoldEncoder(model.config)
    labels = [gold.encode(sentence) for sentence in SENTENCES]
    return collate(model.pieces.encode(WORDS), model.pieces, gold=labels)


def given_candidates(model: JointModel) -> CandidateSet:
    return candidates_from_entities(
        [sentence.entities for sentence in SENTENCES],
        n_words=[len(words) for words in WORDS],
        config=model.config,
    )


def allowed(head: str, tail: str) -> list[bool]:
    return [True, *((name, head, tail) in SCHEMA.pairs for name in SCHEMA.relation_types)]


@torch.no_grad()
def slow_log_probs(
    free: JointModel, states: Tensor, candidates: CandidateSet
) -> dict[Pair, list[float]]:
    """Log-probabilities of all ordered pairs that may be related, over their legal classes."""
    scores = free.score_pairs(states, candidates)
    assert scores is not None
    found = {}
    for b, i, j in scores.mask.nonzero().tolist():
        types = (SCHEMA.entity_types[int(candidates.types[b, k])] for k in (i, j))
        legal = torch.tensor(allowed(*types))
        if legal.sum() > 1:
            logits = scores.logits[b, i, j].where(legal, -math.inf)
            found[b, i, j] = logits.log_softmax(dim=-1).tolist()
    return found


def slow_entropy(log_probs: list[float]) -> float:
    return -sum(math.exp(value) * value for value in log_probs if value > -math.inf)


@torch.no_grad()
def test_probability_of_a_pair_is_shared_by_its_legal_classes_alone(
    build: Callable[..., JointModel],
) -> None:
    model, free = build(), build(legal_pairs=False)
    states, candidates = model.encode(make_batch(model)), given_candidates(model)

    scores = model.score_pairs(states, candidates)

    assert scores is not None
    found = {(b, i, j): scores.logits[b, i, j] for b, i, j in scores.mask.nonzero().tolist()}
    expected = slow_log_probs(free, states, candidates)
    assert found.keys() == expected.keys()
    torch.testing.assert_close(
        torch.stack([found[pair].softmax(dim=-1) for pair in expected]),
        torch.tensor(list(expected.values())).exp(),
    )


@torch.no_grad()
@pytest.mark.parametrize("max_scores", [1, 30, 90], ids=str)
def test_blocks_of_heads_are_cut_from_the_scores_of_all(
    build: Callable[..., JointModel], max_scores: int
) -> None:
    model = build()
    states, candidates = model.encode(make_batch(model)), given_candidates(model)

    blocks = list(model.score_blocks(states, candidates, max_scores=max_scores))

    [whole] = model.score_blocks(states, candidates, max_scores=None)
    assert len(blocks) > 1
    torch.testing.assert_close(torch.cat([b.logits for b in blocks], dim=1), whole.logits)
    assert torch.equal(torch.cat([b.mask for b in blocks], dim=1), whole.mask)


@torch.no_grad()
def test_loss_is_over_legal_classes_and_a_forbidden_gold_relation_is_negative(
    build: Callable[..., JointModel],
) -> None:
    model, free = build(), build(legal_pairs=False)
    batch = make_batch(model)

    losses = model.losses(model(batch), batch, relation_weight=1.0)

    gold = {
        (b, r.head, r.tail): CLASSES.index(r.type)
        for b, sentence in enumerate(SENTENCES)
        for r in sentence.relations
    }
    probs = slow_log_probs(free, model.encode(batch), given_candidates(model))
    legal_gold = {pair: label for pair, label in gold.items() if probs[pair][label] > -math.inf}
    assert 0 < len(legal_gold) < len(gold)
    expected = [-values[legal_gold.get(pair, 0)] for pair, values in probs.items()]
    assert losses.n_pairs == len(expected)
    assert float(losses.relation) == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_relations_among_given_entities_are_the_best_legal_ones(
    build: Callable[..., JointModel],
) -> None:
    model, free = build(), build(legal_pairs=False)

    found = Predictor(model).predict_relations_among(WORDS, [s.entities for s in SENTENCES])

    with torch.no_grad():
        states = model.encode(make_batch(model))
        probs = slow_log_probs(free, states, given_candidates(model))
    best = {pair: max(range(4), key=values.__getitem__) for pair, values in probs.items()}
    expected = {
        (*pair, CLASSES[label]): pytest.approx(math.exp(probs[pair][label]), rel=1e-3)
        for pair, label in best.items()
        if label
    }
    assert expected
    assert {
        (b, r.head, r.tail, r.type): r.score for b, links in enumerate(found) for r in links
    } == expected


def test_no_forbidden_relation_is_predicted(build: Callable[..., JointModel]) -> None:
    words = [list(words) * 4 for words in WORDS]

    found = Predictor(build()).predict(words)

    triples = {
        (r.type, one.entities[r.head].type, one.entities[r.tail].type)
        for one in found
        for r in one.relations
    }
    assert triples == {("causes", "Drug", "Effect"), ("treats", "Effect", "Drug")}


@torch.no_grad()
def test_entropy_of_pairs_is_over_legal_classes(build: Callable[..., JointModel]) -> None:
    model, free = build(), build(legal_pairs=False)
    batch = make_batch(model)

    analysis = analyse(model, batch)

    probs = slow_log_probs(free, model.encode(batch), analysis.candidates)
    expected = [
        sum(slow_entropy(values) for pair, values in probs.items() if pair[0] == b)
        for b in range(len(SENTENCES))
    ]
    assert sum(expected) > 0.0
    assert analysis.relations.entropy.tolist() == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert analysis.relations.n_pairs.tolist() == [
        sum(pair[0] == b for pair in probs) for b in range(len(SENTENCES))
    ]


@torch.no_grad()
@pytest.mark.parametrize(
    "shift",
    [(-40.0,) * 4, (0.0, 0.0, 0.0, 40.0)],
    ids=["all classes alike", "a class that no pair may have"],
)
def test_disagreement_of_pairs_is_over_legal_classes(
    build: Callable[..., JointModel], shift: tuple[float, ...]
) -> None:
    def measure(model: JointModel) -> list[float]:
        batch = make_batch(model)
        found = head_disagreement(
            model,
            model.encode(batch),
            given_candidates(model),
            word_mask=batch.word_mask,
            n_passes=4,
        )
        return [float(value) for value in found]

    shifted = measure(build(shift=shift))

    assert shifted == pytest.approx(measure(build()), rel=1e-3, abs=1e-5)
