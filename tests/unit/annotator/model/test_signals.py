from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tiny_bert import EIGHT_SENTENCES
from torch import Tensor

from annotator.model import Calibration, Predictor
from annotator.model.batch import collate
from annotator.model.candidates import candidates_from_entities
from annotator.model.joint import JointModel
from annotator.model.signals import (
    SIGNALS,
    _Disagreement,
    _dropout_in_heads,
    head_disagreement,
    sum_pair_entropy,
    word_signals,
)


def slow_signals(probs: list[list[float]], *, pair_entropy: float, n_predicted: int) -> list[float]:
    """The signals of one sentence, word by word, in the order of SIGNALS."""
    n = len(probs)
    entropies = [-sum(p * math.log(p) for p in word) for word in probs]
    best = [max(word) for word in probs]
    gaps = [sorted(word)[-1] - sorted(word)[-2] for word in probs]
    ending = [sum(word[3::4]) + sum(word[4::4]) for word in probs]
    expected = sum(a * b for i, a in enumerate(ending) for j, b in enumerate(ending) if i != j)
    hidden = max(0.0, expected - n_predicted)
    return [
        n,
        sum(entropies) / n,
        -sum(math.log(p) for p in best) / n,
        1 - min(best),
        1 - math.prod(best),
        1 - sum(gaps) / n,
        pair_entropy,
        n_predicted,
        hidden,
        (sum(entropies) + pair_entropy + 0.3 * hidden) / n,
    ]


@pytest.fixture
def log_probs(generator: torch.Generator) -> Tensor:
    return torch.randn(2, 6, 9, generator=generator, dtype=torch.float64).log_softmax(dim=-1)


def compute(log_probs: Tensor, *, has_relations: bool = True) -> dict[str, Tensor]:
    n_pairs = torch.tensor([2, 0])
    return word_signals(
        log_probs,
        word_mask=torch.arange(6) < torch.tensor([[6], [4]]),
        pair_entropy=torch.tensor([0.7, 0.0]),
        n_pairs=n_pairs,
        n_predicted=n_pairs,
        hidden_pair_entropy=0.3,
        has_relations=has_relations,
    )


@pytest.mark.parametrize(
    ("i", "n_words", "pair_entropy", "n_predicted"), [(0, 6, 0.7, 2), (1, 4, 0.0, 0)]
)
def test_signals_equal_a_plain_loop(
    log_probs: Tensor, i: int, n_words: int, pair_entropy: float, n_predicted: int
) -> None:
    signals = compute(log_probs)

    expected = slow_signals(
        log_probs[i, :n_words].exp().tolist(), pair_entropy=pair_entropy, n_predicted=n_predicted
    )
    assert [float(signals[name][i]) for name in SIGNALS] == pytest.approx(expected, rel=1e-6)


def test_schema_without_relations_hides_no_pairs(log_probs: Tensor) -> None:
    signals = compute(log_probs, has_relations=False)

    assert signals["hidden_pairs"].tolist() == [0.0, 0.0]


def test_pair_entropy_counts_candidate_pairs_only() -> None:
    even = torch.full((1, 2, 2, 4), math.log(0.25))
    mask = torch.tensor([[[False, True], [False, False]]])

    assert sum_pair_entropy(even, mask).tolist() == pytest.approx([math.log(4)])


@pytest.fixture
def joint_model(build_model: Callable[..., JointModel]) -> JointModel:
    """A random model."""
    return build_model()


SENTENCES = [["aspirin", "caused", "a", "rash"], ["fever"], [], ["no", "fever", "now"]]


def test_passes_that_agree_do_not_disagree_however_unsure_they_are() -> None:
    tally = _Disagreement()
    for _ in range(4):
        tally.add(torch.full((1, 3, 5), 0.2).log())

    assert tally.result().tolist() == [[0.0, 0.0, 0.0]]


def test_passes_that_are_sure_of_different_tags_disagree_most() -> None:
    tally = _Disagreement()
    for tag in (0, 1):
        probs = torch.full((1, 1, 2), 1e-9)
        probs[0, 0, tag] = 1.0
        tally.add(probs.log())

    assert tally.result().tolist() == [[pytest.approx(math.log(2), abs=1e-5)]]


def test_the_signal_is_there_only_where_it_was_asked_for(joint_model: JointModel) -> None:
    plain = Predictor(joint_model).predict(SENTENCES)
    asked = Predictor(joint_model, bald_passes=5).predict(SENTENCES)

    assert all("bald" not in one.signals for one in plain)
    assert all(one.signals["bald"] >= 0.0 for one in asked)
    assert asked[2].signals["bald"] == 0.0
    assert asked[0].signals["bald"] > 0.0


def test_asking_changes_nothing_else(joint_model: JointModel) -> None:
    state = torch.get_rng_state()
    plain = Predictor(joint_model).predict(SENTENCES)
    asked = Predictor(joint_model, bald_passes=5).predict(SENTENCES)

    assert [one.entities for one in asked] == [one.entities for one in plain]
    assert [one.relations for one in asked] == [one.relations for one in plain]
    assert [{k: v for k, v in one.signals.items() if k != "bald"} for one in asked] == [
        dict(one.signals) for one in plain
    ]
    assert not any(module.training for module in joint_model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_batch_gets_the_same_scores(joint_model: JointModel) -> None:
    predictor = Predictor(joint_model, bald_passes=3)

    first, again = ([one.signals["bald"] for one in predictor.predict(SENTENCES)] for _ in range(2))

    assert first == again


def test_without_dropout_nothing_disagrees(joint_model: JointModel) -> None:
    for module in joint_model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

    found = Predictor(joint_model, bald_passes=3).predict(SENTENCES)

    assert [one.signals["bald"] for one in found] == pytest.approx([0.0] * 4, abs=1e-6)


def slow_disagreement(passes: list[torch.Tensor]) -> float:
    """The entropy of the mean minus the mean of the entropies of one word or pair."""
    mean = torch.stack(passes).mean(dim=0)
    entropies = [-(probs * probs.log()).sum() for probs in passes]
    return float(-(mean * mean.log()).sum() - sum(entropies) / len(passes))


@torch.no_grad()
def test_disagreement_is_that_of_a_plain_loop_over_words_and_pairs(joint_model: JointModel) -> None:
    joint_model.calibration = Calibration(ner_temperature=0.5, relation_temperature=0.2)
    words = [list(sentence.words) for sentence in EIGHT_SENTENCES]
    batch = collate(joint_model.pieces.encode(words), joint_model.pieces)
    states = joint_model.encode(batch).where(batch.word_mask[..., None], 1.0)
    candidates = candidates_from_entities(
        [sentence.entities for sentence in EIGHT_SENTENCES],
        n_words=[len(one) for one in words],
        config=joint_model.config,
    )

    found = head_disagreement(
        joint_model, states, candidates, word_mask=batch.word_mask, n_passes=3
    )

    tags, pairs, mask = [], [], torch.zeros(0)
    with _dropout_in_heads(joint_model, states.device):
        for _ in range(3):
            tags.append((joint_model.ner(states) / 0.5).softmax(dim=-1))
            scores = joint_model.score_pairs(states, candidates)
            assert scores is not None
            pairs.append((scores.logits / 0.2).softmax(dim=-1).clamp(min=1e-30))
            mask = scores.mask
    expected = []
    for b, one in enumerate(words):
        total = sum(slow_disagreement([p[b, n] for p in tags]) for n in range(len(one)))
        total += sum(
            slow_disagreement([p[b, i, j] for p in pairs]) for i, j in mask[b].nonzero().tolist()
        )
        expected.append(total / len(one))
    assert found.tolist() == pytest.approx(expected, rel=1e-3, abs=1e-6)
