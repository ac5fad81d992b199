from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from annotator.model.signals import SIGNALS, sum_pair_entropy, word_signals


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
