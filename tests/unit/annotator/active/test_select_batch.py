from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.active import Candidate, interleave, select_batch
from annotator.active.batch import compose_batch, percentile_ranks, win_tournaments
from annotator.active.modal_adapter import query_ranked


def make_candidates(n: int, *, n_groups: int = 7, embedded: bool = True) -> list[Candidate]:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n, 4))
    return [
        Candidate(
            id=100 + i,
            utility=float(rng.random()),
            group=f"d{i % n_groups}",
            embedding=vectors[i] if embedded else None,
        )
        for i in range(n)
    ]


def select(candidates: list[Candidate], n: int = 10, **options: Any) -> list[tuple[int, str]]:
    given_ = {
        "labelled": np.random.default_rng(1).normal(size=(3, 4)),
        "rng": np.random.default_rng(options.pop("seed", 2)),
        "random_share": 0.2,
        "per_group": 3,
        **options,
    }
    return [(s.id, s.reason) for s in select_batch(candidates, n, **given_)]


@given(
    n_candidates=st.integers(0, 60),
    n=st.integers(1, 80),
    random_share=st.floats(0, 1),
    per_group=st.integers(1, 5),
    embedded=st.booleans(),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_every_candidate_is_selected_once_and_no_document_fills_the_batch(
    n_candidates: int, n: int, random_share: float, per_group: int, embedded: bool, seed: int
) -> None:
    candidates = make_candidates(n_candidates, embedded=embedded)

    chosen = select(candidates, n, random_share=random_share, per_group=per_group, seed=seed)

    assert sorted(i for i, _ in chosen) == [c.id for c in candidates]
    batch = [(i, reason) for i, reason in chosen if reason != "rest"]
    assert chosen[: len(batch)] == batch
    assert len(batch) <= n
    groups = Counter((i - 100) % 7 for i, _ in batch)
    assert max(groups.values(), default=0) <= per_group


def test_the_same_seed_gives_the_same_order() -> None:
    candidates = make_candidates(40)

    assert select(candidates, seed=3) == select(candidates, seed=3)
    assert select(candidates, seed=3) != select(candidates, seed=4)


def test_a_share_of_the_batch_is_random_and_says_so() -> None:
    reasons = Counter(reason for _, reason in select(make_candidates(60, n_groups=60), 20))

    assert reasons == {"strategy": 16, "random": 4, "rest": 40}


def test_behind_the_batch_the_rest_follows_by_utility() -> None:
    candidates = make_candidates(40)
    utility = {c.id: c.utility for c in candidates}

    rest = [utility[i] for i, reason in select(candidates) if reason == "rest"]

    assert rest == sorted(rest, reverse=True)


def test_the_strategy_prefers_the_useful() -> None:
    candidates = [
        Candidate(id=i, utility=float(i >= 180), group=f"d{i}", embedding=None) for i in range(200)
    ]

    chosen = select(candidates, 10, random_share=0.0)

    assert sum(i >= 180 for i, reason in chosen if reason == "strategy") >= 8


def test_random_order_knows_no_strategy() -> None:
    chosen = select(make_candidates(30), use_strategy=False)

    assert {reason for _, reason in chosen} == {"random"}
    assert len({i for i, _ in chosen}) == 30


@given(st.integers(0, 30), st.integers(0, 30))
def test_interleaving_spreads_the_second_evenly_and_keeps_both_orders(n: int, m: int) -> None:
    first, second = [(i, "a") for i in range(n)], [(i, "b") for i in range(m)]

    mixed = interleave(first, second)

    assert [x for x in mixed if x[1] == "a"] == first
    assert [x for x in mixed if x[1] == "b"] == second
    places = [i for i, x in enumerate(mixed) if x[1] == "b"]
    expected = [(i + 0.5) * (n + m) / max(m, 1) for i in range(m)]
    assert all(abs(p + 0.5 - e) <= 1.5 for p, e in zip(places, expected, strict=True))


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5]), max_size=12))
def test_percentile_ranks_keep_order_and_share_ties(values: list[float]) -> None:
    ranks = percentile_ranks(np.array(values))

    slow = [
        (sum(v < value for v in values) + 0.5 * values.count(value)) / len(values)
        for value in values
    ]
    np.testing.assert_allclose(ranks, slow)


def test_a_batch_is_the_beginning_of_modals_ranking_that_the_cap_lets_through() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(60, 4))
    wanted = [
        Candidate(id=i, utility=float(rng.random()), group=f"d{i % 20}", embedding=vectors[i])
        for i in range(60)
    ]
    labelled = rng.normal(size=(30, 4))
    scores = np.array([c.utility for c in wanted])
    whole = query_ranked(scores, vectors, 59, labelled=labelled, rng=np.random.default_rng(0))
    groups: Counter[int] = Counter()
    expected = [i for i in whole.tolist() if groups.update([i % 20]) or groups[i % 20] <= 1]

    batch = compose_batch(
        wanted,
        [],
        15,
        labelled=labelled,
        rng=np.random.default_rng(0),
        random_share=0.0,
        per_group=1,
    )

    assert [s.id for s in batch] == expected[:15]


def test_the_better_of_two_is_drawn_as_often_as_the_gumbel_draw_takes_it_first() -> None:
    n, trials = 8, 40_000
    rng = np.random.default_rng(4)
    utilities = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0, 5.0])
    scores = percentile_ranks(utilities)
    gumbels = np.log(scores) + rng.gumbel(size=(trials, n))
    first = np.bincount(gumbels.argmax(axis=1), minlength=n) / trials

    drawn = rng.integers(n, size=2 * trials)
    winners = np.bincount(drawn[win_tournaments(utilities[drawn])], minlength=n) / trials

    np.testing.assert_allclose(winners, scores / scores.sum(), atol=0.008)
    np.testing.assert_allclose(winners, first, atol=0.011)
