"""What is labelled next, counted in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annotator.domain import TaggedSentence, Token
from annotator.simulation.arms import Arm
from annotator.simulation.picks import pick_next, take_words
from annotator.simulation.scores import PoolScores


def make_sentence(i: int, n_words: int) -> TaggedSentence:
    words = ("word",) * n_words
    tokens = tuple(Token(start=5 * k, end=5 * k + 4) for k in range(n_words))
    return TaggedSentence(id=f"s{i}", words=words, tokens=tokens, start=0, end=5 * n_words)


@pytest.fixture
def sentences() -> list[TaggedSentence]:
    """Two hundred sentences of 2 to 21 words."""
    return [make_sentence(i, 2 + i % 20) for i in range(200)]


@pytest.fixture
def scores(rng: np.random.Generator, sentences: list[TaggedSentence]) -> PoolScores:
    """The shorter, the more useful; embeddings of no meaning."""
    n_words = np.array([len(s.words) for s in sentences], dtype=np.float64)
    embeddings = rng.normal(size=(len(sentences), 8))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return PoolScores(
        names=("mnlp", "n_words"),
        signals=np.stack([1 / n_words, n_words], axis=1),
        embeddings=embeddings,
    )


@pytest.mark.parametrize("name", ["random", "mnlp", "coreset"])
@pytest.mark.parametrize("is_diverse", [False, True], ids=["plain", "diverse"])
def test_a_round_has_the_words_that_were_asked_for(
    sentences: list[TaggedSentence], scores: PoolScores, name: str, is_diverse: bool
) -> None:
    labelled = list(range(0, 200, 10))
    arm = Arm(name, is_diverse and name != "random")

    picked = pick_next(
        arm,
        sentences,
        scores,
        labelled=labelled,
        n_words=300,
        random_share=0.15,
        rng=np.random.default_rng(3),
    )

    n_words = sum(len(sentences[i].words) for i in picked)
    assert 300 <= n_words < 300 + 21
    assert len(set(picked)) == len(picked)
    assert not set(picked) & set(labelled)


def test_short_sentences_make_a_larger_batch(
    sentences: list[TaggedSentence], scores: PoolScores
) -> None:
    def count(name: str) -> int:
        return len(
            pick_next(
                Arm(name),
                sentences,
                scores,
                labelled=[],
                n_words=300,
                random_share=0.0,
                rng=np.random.default_rng(3),
            )
        )

    assert count("mnlp") > 1.5 * count("random")


def test_the_random_share_stays_a_share_of_the_round(
    sentences: list[TaggedSentence], scores: PoolScores
) -> None:
    picked = pick_next(
        Arm("mnlp"),
        sentences,
        scores,
        labelled=[],
        n_words=300,
        random_share=0.2,
        rng=np.random.default_rng(3),
    )

    best = set(np.argsort([len(s.words) for s in sentences], kind="stable")[: len(picked)].tolist())
    n_others = len(set(picked) - best)
    assert 0.08 * len(picked) <= n_others <= 0.25 * len(picked)


def test_what_is_asked_beyond_the_pool_is_all_of_it(
    sentences: list[TaggedSentence], scores: PoolScores
) -> None:
    picked = pick_next(
        Arm("mnlp"),
        sentences,
        scores,
        labelled=[0],
        n_words=10**6,
        random_share=0.15,
        rng=np.random.default_rng(3),
    )

    assert sorted(picked) == list(range(1, 200))


def test_words_are_taken_until_there_are_enough(sentences: list[TaggedSentence]) -> None:
    assert take_words([3, 4, 5], sentences, 6) == [3, 4]
    assert take_words([3, 4, 5], sentences, 0) == []


def test_scores_come_back_from_their_file(scores: PoolScores, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "scores.npz"
    scores.save(path)

    found = PoolScores.load(path)

    assert found is not None
    assert found.names == scores.names
    np.testing.assert_array_equal(found.embeddings, scores.embeddings)


def test_a_damaged_file_of_scores_counts_as_none(scores: PoolScores, tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    scores.save(path)
    path.write_bytes(path.read_bytes()[:100])

    assert PoolScores.load(path) is None
