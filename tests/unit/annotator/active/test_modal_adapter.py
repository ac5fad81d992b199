"""Pins each call of modAL that is relied upon: names, arguments and what they return."""

from __future__ import annotations

import inspect
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from modAL.batch import ranked_batch

from annotator.active.modal_adapter import query_ranked
from annotator.errors import ShapeError

RngState = tuple[Any, ...]


def global_state() -> bytes:
    return bytes(np.random.get_state()[1])  # type: ignore[arg-type,index]


def test_the_package_is_the_one_by_its_authors() -> None:
    assert metadata.version("modAL-python") == "0.4.2.1"


def test_the_calls_take_the_arguments_that_are_given() -> None:
    parameters = inspect.signature(ranked_batch).parameters
    assert list(parameters) == [
        "classifier",
        "unlabeled",
        "uncertainty_scores",
        "n_instances",
        "metric",
        "n_jobs",
    ]


def test_a_ranked_batch_returns_indices_and_their_scores(rng: np.random.Generator) -> None:
    pool = rng.normal(size=(6, 3))
    stub = SimpleNamespace(X_training=rng.normal(size=(2, 3)), on_transformed=False)

    answer = ranked_batch(
        stub,
        unlabeled=pool,
        uncertainty_scores=np.linspace(0, 1, 6),
        n_instances=4,
        metric="cosine",
        n_jobs=None,
    )

    assert len(answer) == 2
    assert len(set(answer[0])) == 4


# ------------------------------------------------------------------ the adapter


@pytest.mark.parametrize("n", [0, 1, 3, 5, 9])
def test_without_any_label_the_top_is_what_sorting_finds(n: int, rng: np.random.Generator) -> None:
    scores = rng.random(5)

    chosen = query_ranked(scores, np.eye(5), n, labelled=np.zeros((0, 5)), rng=rng)

    assert list(chosen) == list(np.argsort(-scores))[:n]
    assert chosen.dtype == np.int64


def test_a_score_that_is_no_number_comes_last(rng: np.random.Generator) -> None:
    scores = np.array([0.25, np.nan, 0.5, np.inf])

    chosen = query_ranked(scores, np.eye(4), 4, labelled=np.eye(4), rng=rng)

    assert list(chosen) == [3, 2, 0, 1]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_chooses_the_same_and_the_global_generator_is_left_alone(seed: int) -> None:
    np.random.seed(99)
    before = global_state()
    data = np.random.default_rng(0)
    scores, pool, labelled = data.random(30), data.normal(size=(30, 4)), data.normal(size=(5, 4))

    chosen = [
        list(query_ranked(scores, pool, 9, labelled=labelled, rng=np.random.default_rng(seed)))
        for _ in range(2)
    ]

    assert chosen[0] == chosen[1]
    assert global_state() == before


def test_the_global_generator_is_put_back_after_a_failure(rng: np.random.Generator) -> None:
    before = global_state()

    with pytest.raises(ValueError, match="dimension"):
        query_ranked(np.ones(4), np.ones((4, 3)), 2, labelled=np.ones((2, 7)), rng=rng)

    assert global_state() == before


def test_a_ranked_batch_avoids_what_is_labelled_and_what_it_has() -> None:
    pool = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [-1.0, 0.0]])
    labelled = np.array([[0.99, 0.1]])

    chosen = query_ranked(np.full(4, 0.5), pool, 2, labelled=labelled, rng=np.random.default_rng(1))

    assert set(chosen) == {2, 3}


def test_with_many_labels_usefulness_decides() -> None:
    pool = np.eye(4)
    labelled = np.tile(np.full((1, 4), 0.5), (500, 1))
    scores = np.array([0.1, 0.9, 0.2, 0.5])

    chosen = query_ranked(scores, pool, 2, labelled=labelled, rng=np.random.default_rng(1))

    assert list(chosen) == [1, 3]


@pytest.mark.parametrize(
    ("scores", "pool"),
    [(np.ones((2, 2)), np.ones((2, 3))), (np.ones(2), np.ones((3, 3))), (np.ones(2), np.ones(2))],
    ids=["table of scores", "other length", "flat embeddings"],
)
def test_shapes_that_do_not_belong_together_are_refused(
    scores: Any, pool: Any, rng: np.random.Generator
) -> None:
    with pytest.raises(ShapeError):
        query_ranked(scores, pool, 1, labelled=np.zeros((0, 0)), rng=rng)
