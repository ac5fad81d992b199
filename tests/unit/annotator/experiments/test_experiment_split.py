"""How sentences are dealt out."""

from __future__ import annotations

from collections import Counter

import pytest

from annotator.errors import InputError
from annotator.experiments.split import draw, grouped_folds, hold_out

GROUPS = [f"doc-{n}" for n in range(40) for _ in range(1 + n % 5)]  # 120 items


def test_no_group_is_in_two_folds() -> None:
    places = grouped_folds(GROUPS, n_folds=5)

    assert len(set(zip(GROUPS, places, strict=True))) == 40


def test_folds_are_as_even_as_groups_allow() -> None:
    sizes = Counter(grouped_folds(GROUPS, n_folds=5))

    assert set(sizes) == {0, 1, 2, 3, 4}
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_the_same_seed_gives_the_same_folds_and_another_one_others() -> None:
    first, again, other = (grouped_folds(GROUPS, n_folds=5, seed=seed) for seed in (0, 0, 1))

    assert first == again != other


def test_folds_do_not_depend_on_the_order_of_items() -> None:
    backwards = grouped_folds(GROUPS[::-1], n_folds=5)

    assert backwards[::-1] == grouped_folds(GROUPS, n_folds=5)


@pytest.mark.parametrize("n_folds", [0, 1, 4])
def test_too_few_groups_or_folds_are_refused(n_folds: int) -> None:
    with pytest.raises(InputError, match="found 3 documents"):
        grouped_folds(["a", "b", "c", "a"], n_folds=n_folds)


def test_a_share_is_held_out_in_whole_groups() -> None:
    held = hold_out(GROUPS, share=0.1)

    assert 8 <= sum(held) <= 12
    assert len(set(zip(GROUPS, held, strict=True))) == 40


@pytest.mark.parametrize(
    ("groups", "n_held"),
    [(["a", "b"], 1), (["a"] * 50 + ["b"] * 50, 50), (["a", "a"], 0), ([], 0)],
    ids=["two", "large groups", "one group", "nothing"],
)
def test_one_group_is_held_out_but_never_all(groups: list[str], n_held: int) -> None:
    assert sum(hold_out(groups, share=0.1)) == n_held


def test_a_draw_is_random_without_doubles_and_in_order() -> None:
    drawn = draw(100, limit=20, seed=3)

    assert drawn == sorted(set(drawn))
    assert len(drawn) == 20
    assert drawn != list(range(20))


def test_a_smaller_draw_lies_inside_a_larger_one_of_its_seed() -> None:
    assert set(draw(100, limit=10, seed=3)) < set(draw(100, limit=20, seed=3))
    assert set(draw(100, limit=10, seed=3)) != set(draw(100, limit=10, seed=4))


@pytest.mark.parametrize("limit", [0, 6])
def test_a_draw_of_none_or_of_more_than_there_are_is_refused(limit: int) -> None:
    with pytest.raises(InputError, match=f"{limit} sentences cannot be drawn from .* 5"):
        draw(5, limit=limit, seed=0)
