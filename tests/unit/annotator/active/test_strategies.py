"""Strategies on distributions made by hand, where the right order is known by thought."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from annotator.active import STRATEGIES, ScoredPool, get_strategy, sample_of
from annotator.errors import ConfigError, ShapeError
from annotator.model.signals import word_signals

SURE = [0.97, 0.01, 0.01, 0.005, 0.005]
EVEN = [0.2, 0.2, 0.2, 0.2, 0.2]
TWO = [0.5, 0.5, 0.0, 0.0, 0.0]  # torn between two tags, sure that it is none of the others
SPREAD = [0.55, 0.12, 0.11, 0.11, 0.11]  # a clear winner, doubt about the rest


def signals_of(
    *words: list[float], pair_entropy: float = 0.0, n_predicted: int = 0
) -> dict[str, float]:
    """The signals of one sentence with these tag distributions (O, B-, I-, E-, S-)."""
    probs = torch.tensor([words or [SURE]], dtype=torch.float64).clamp(min=1e-12)
    found = word_signals(
        probs.log(),
        word_mask=torch.ones(1, len(words) or 1, dtype=torch.bool) & bool(words),
        pair_entropy=torch.tensor([pair_entropy]),
        n_pairs=torch.tensor([n_predicted]),
        n_predicted=torch.tensor([n_predicted]),
        hidden_pair_entropy=0.2,
        has_relations=True,
    )
    return {name: float(value[0]) for name, value in found.items()}


def score(strategy: str, signals: dict[str, float]) -> float:
    """The utility of one sentence."""
    return float(get_strategy(strategy).utilities(ScoredPool.of([signals]))[0])


def order(strategy: str, *sentences: dict[str, float], **more: Any) -> list[int]:
    """The numbers of the sentences, most useful first."""
    utilities = get_strategy(strategy).utilities(ScoredPool.of(sentences, **more))
    return [int(i) for i in np.argsort(-utilities, kind="stable")]


@pytest.mark.parametrize("name", ["mnlp", "entropy", "ltp", "margin", "joint_rate", "joint_rank"])
def test_the_unsure_sentence_comes_before_the_sure_one(name: str) -> None:
    assert order(name, signals_of(SURE, SURE), signals_of(EVEN, EVEN)) == [1, 0]


@pytest.mark.parametrize("name", ["mnlp", "entropy", "ltp", "margin", "joint_rate", "re_entropy"])
def test_twice_the_same_words_are_worth_no_more(name: str) -> None:
    once = signals_of(SURE, EVEN, pair_entropy=0.4)
    twice = signals_of(SURE, EVEN, SURE, EVEN, pair_entropy=0.8)

    once["hidden_pairs"] = twice["hidden_pairs"] = 0.0
    shorter = score(name, {**once, "joint_rate": once["token_entropy"] + 0.4 / 2})
    longer = score(name, {**twice, "joint_rate": twice["token_entropy"] + 0.8 / 4})

    assert shorter == pytest.approx(longer)


def test_least_confidence_finds_long_sentences_and_is_kept_as_a_bad_baseline() -> None:
    long_and_sure = signals_of(*[SURE] * 40)
    short_and_torn = signals_of(TWO)

    assert order("least_confidence", long_and_sure, short_and_torn) == [0, 1]
    assert order("mnlp", long_and_sure, short_and_torn) == [1, 0]


def test_margin_and_entropy_disagree_where_doubt_is_spread_out() -> None:
    sentences = (signals_of(TWO), signals_of(SPREAD))

    assert order("margin", *sentences) == [0, 1]
    assert order("entropy", *sentences) == [1, 0]


def test_ltp_looks_at_the_worst_word_and_mnlp_at_all() -> None:
    one_bad_word = signals_of(EVEN, *[SURE] * 9)
    all_torn = signals_of(*[TWO] * 10)

    assert order("ltp", one_bad_word, all_torn) == [0, 1]
    assert order("mnlp", one_bad_word, all_torn) == [1, 0]


def test_re_entropy_sees_pairs_alone_and_joint_rate_both() -> None:
    only_tags = signals_of(TWO, TWO)
    only_pairs = signals_of(SURE, SURE, pair_entropy=0.5, n_predicted=2)

    assert order("re_entropy", only_tags, only_pairs) == [1, 0]
    assert order("mnlp", only_tags, only_pairs) == [0, 1]
    assert score("joint_rate", only_tags) > 0
    assert score("joint_rate", only_pairs) > 0.25


def test_missed_entities_are_not_taken_for_certainty() -> None:
    nearly_ends = [0.52, 0.0, 0.0, 0.0, 0.48]  # O wins, so that no entity and no pair is predicted
    torn_elsewhere = [0.52, 0.0, 0.48, 0.0, 0.0]
    missed, other = signals_of(nearly_ends, nearly_ends), signals_of(torn_elsewhere, torn_elsewhere)

    assert missed["mnlp"] == pytest.approx(other["mnlp"])
    assert order("joint_rate", other, missed) == [1, 0]
    assert order("joint_rank", other, missed) == [1, 0]


def test_joint_rank_adds_ranks_and_max_rank_takes_the_better_one() -> None:
    def sentence(mnlp: float, pairs: float) -> dict[str, float]:
        return {"n_words": 1.0, "mnlp": mnlp, "pair_entropy_sum": pairs, "hidden_pairs": 0.0}

    tags_only, pairs_only = sentence(9.0, 0.1), sentence(0.1, 9.0)
    middling, dull = sentence(5.0, 5.0), sentence(0.2, 0.2)
    pool = ScoredPool.of([tags_only, pairs_only, middling, dull])

    # Ranks of mnlp: 7/8, 1/8, 5/8, 3/8; of pairs: 1/8, 7/8, 5/8, 3/8.
    assert get_strategy("joint_rank").utilities(pool) == pytest.approx(
        [0.5 * r / 8 + 0.4 * p / 8 for r, p in ((7, 1), (1, 7), (5, 5), (3, 3))]
    )
    assert get_strategy("max_rank").utilities(pool) == pytest.approx([7 / 8, 7 / 8, 5 / 8, 3 / 8])


def test_round_robin_takes_turns_and_no_sentence_twice() -> None:
    sentences = [
        {"n_words": 1.0, "mnlp": mnlp, "pair_entropy_sum": pairs}
        for mnlp, pairs in ((0.9, 0.8), (0.8, 0.1), (0.1, 0.9), (0.2, 0.7))
    ]

    assert order("round_robin", *sentences) == [0, 2, 1, 3]


def test_bald_reads_its_signal() -> None:
    assert order("bald", {"bald": 0.1}, {"bald": 0.3}) == [1, 0]


def test_coreset_goes_where_nothing_is_labelled() -> None:
    angles = np.deg2rad([0, 5, 90, 93, 180])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    known = np.array([[1.0, 0.0]])

    found = order("coreset", *[{}] * 5, embeddings=embeddings, labelled=known)

    assert found[:2] == [4, 2]
    assert found[-1] == 0


def test_coreset_without_labels_starts_at_the_edge() -> None:
    angles = np.deg2rad([0, 10, 20, 90])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    assert order("coreset", *[{}] * 4, embeddings=embeddings)[:2] == [3, 0]


def test_coreset_without_embeddings_is_refused() -> None:
    with pytest.raises(ConfigError, match="embeddings"):
        order("coreset", {"mnlp": 1.0})


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"coreset"}))
def test_sentences_without_words_or_numbers_are_useless_not_fatal(name: str) -> None:
    empty = dict.fromkeys(signals_of(SURE), 0.0)
    broken = dict.fromkeys(signals_of(SURE), math.nan)
    pool = ScoredPool.of([empty, broken, {}, signals_of(EVEN, EVEN, pair_entropy=1.0)])

    utilities = get_strategy(name).utilities(pool)

    assert np.isfinite(utilities).all()
    assert utilities.argmax() == 3 or name in ("random", "bald")


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_pool_of_one_word_or_of_nothing_is_scored(name: str) -> None:
    one = np.ones((1, 1))
    strategy = get_strategy(name)

    assert strategy.utilities(ScoredPool.of([signals_of(SURE)], embeddings=one)).shape == (1,)
    assert strategy.utilities(ScoredPool.of([], embeddings=one[:0])).shape == (0,)


def test_a_sentence_without_entities_is_ranked_by_its_tags() -> None:
    without = signals_of(TWO, TWO)
    surer = signals_of(SURE, SURE)

    assert order("joint_rank", surer, without) == [1, 0]
    assert order("max_rank", surer, without) == [1, 0]


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_strategy_prints_how_it_is_made(name: str) -> None:
    assert str(get_strategy(name)).startswith(f"{name} = ")


def test_the_construction_of_joint_rank_names_its_parts() -> None:
    assert str(get_strategy("joint_rank")) == (
        "joint_rank = 0.5 * rank(mnlp) + 0.4 * rank(pair_entropy_sum / n_words)"
        " + 0.1 * rank(hidden_pairs / n_words)"
    )


def random_pool(n: int, seed: int) -> list[dict[str, float]]:
    """Sentences with signals of all sizes, many of them without pairs."""
    rng = np.random.default_rng(seed)
    return [
        {
            "n_words": float(rng.integers(1, 40)),
            "mnlp": float(rng.gamma(2.0)),
            "pair_entropy_sum": float(rng.gamma(2.0) * rng.integers(0, 2)),
            "hidden_pairs": float(rng.gamma(1.0) * rng.integers(0, 2)),
        }
        for _ in range(n)
    ]


@pytest.mark.parametrize("name", ["joint_rank", "max_rank"])
def test_within_a_sample_that_is_the_pool_each_sentence_has_the_rank_it_has_in_the_pool(
    name: str,
) -> None:
    strategy, sentences = get_strategy(name), random_pool(300, seed=3)
    together = strategy.utilities(ScoredPool.of(sentences))
    sample = sample_of(strategy.term.ranked, ScoredPool.of(sentences))

    alone = [strategy.utilities(ScoredPool.of([one], sample=sample))[0] for one in sentences]

    assert alone == pytest.approx(together)


@pytest.mark.parametrize("name", ["joint_rank", "max_rank", "round_robin"])
def test_a_sample_is_enough_to_find_nearly_the_same_sentences(name: str) -> None:
    strategy, sentences = get_strategy(name), random_pool(4000, seed=4)
    sample = sample_of(strategy.term.ranked, ScoredPool.of(sentences[:2500]))

    alone = strategy.utilities(ScoredPool.of(sentences, sample=sample))
    together = strategy.utilities(ScoredPool.of(sentences))

    best = [set(np.argsort(-found, kind="stable")[:400].tolist()) for found in (alone, together)]
    assert len(best[0] & best[1]) > 380


def test_what_is_greater_than_all_of_a_sample_is_the_first_and_what_is_less_the_last() -> None:
    strategy = get_strategy("max_rank")
    sample = sample_of(strategy.term.ranked, ScoredPool.of(random_pool(50, seed=5)))
    most = {"n_words": 1.0, "mnlp": 1e9, "pair_entropy_sum": 0.0}
    least = {"n_words": 1.0, "mnlp": 1e-9, "pair_entropy_sum": 0.0}

    found = strategy.utilities(ScoredPool.of([most, least], sample=sample))

    assert found.tolist() == [1.0, 0.0]


def test_coreset_by_itself_is_the_distance_to_the_nearest_label() -> None:
    angles = np.deg2rad([0, 60, 180])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    coreset = get_strategy("coreset")

    def found(labelled: NDArray[Any] | None) -> list[float]:
        pool = ScoredPool.of([{}] * 3, embeddings=rows, labelled=labelled, sample={})
        return coreset.utilities(pool).tolist()

    assert found(rows[:1]) == pytest.approx([0.0, 0.5, 2.0], abs=1e-6)
    assert found(None) == found(rows[:0]) == [1.0, 1.0, 1.0]


def test_what_no_prediction_stores_is_refused_to_a_queue() -> None:
    with pytest.raises(ConfigError, match=r"bald needs more .* take one of coreset, .* mnlp"):
        get_strategy("bald").check_queue()
    for name in STRATEGIES.keys() - {"bald"}:
        get_strategy(name).check_queue()


def test_signals_of_another_length_are_refused() -> None:
    values: NDArray[Any] = np.zeros(2)

    with pytest.raises(ShapeError, match="mnlp"):
        ScoredPool(signals={"mnlp": values}, n=3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None], ids=["nan", "inf", "absent"])
def test_a_signal_that_says_nothing_is_worth_nothing(value: float | None) -> None:
    signals = {key: v for key, v in {"mnlp": value}.items() if v is not None}

    assert score("mnlp", signals) == 0.0


def test_an_unknown_strategy_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="joint_rank"):
        get_strategy("best")
