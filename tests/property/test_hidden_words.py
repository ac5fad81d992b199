"""Properties of masked words on any text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bert import make_tiny_encoder

from annotator.model import load_encoder
from annotator.model.masking import WordMasker

WORDS = st.sampled_from(["aspirin", "rash", "xylitol", "500", ".", "😀", "é", ""])
SENTENCES = st.lists(st.lists(WORDS, max_size=150), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def masker(tmp_path_factory: pytest.TempPathFactory) -> WordMasker:
    folder = make_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny")
    return WordMasker(load_encoder(str(folder)), share=0.15)


@given(sentences=SENTENCES, seed=st.integers(0, 2**32))
def test_whole_words_are_chosen_at_least_one_a_row_and_never_special_pieces(
    masker: WordMasker, sentences: list[list[str]], seed: int
) -> None:
    rows = [*masker.rows(sentences), *masker.rows([["rash", "after", "aspirin"]])]

    chosen = masker.choose(rows, np.random.default_rng(seed))

    by_row = np.split(chosen, np.cumsum([len(row.ids) for row in rows])[:-1])
    words = [
        (flags, ids)
        for row, picked in zip(rows, by_row, strict=True)
        for flags, ids in zip(
            np.split(picked, row.first_piece[1:]), np.split(row.ids, row.first_piece[1:]),
            strict=True,
        )
    ]  # fmt: skip
    assert all(flags.all() or not flags.any() for flags, _ in words)
    assert not any(flags.any() and masker.is_special[ids].any() for flags, ids in words)
    assert all(picked.any() for picked in by_row)


@given(sentences=SENTENCES, seed=st.integers(0, 2**32))
def test_putting_the_targets_back_gives_the_text_again(
    masker: WordMasker, sentences: list[list[str]], seed: int
) -> None:
    rows = [*masker.rows(sentences), *masker.rows([["rash", "after", "aspirin"]])]

    batch = masker.collate(rows, np.random.default_rng(seed))

    restored = batch.input_ids.flatten().clone()
    restored[batch.positions] = batch.targets
    table = restored.view(batch.input_ids.shape).numpy()
    assert all((line[1 : len(row.ids) + 1] == row.ids).all()
               for line, row in zip(table, rows, strict=True))  # fmt: skip
