"""Properties of masked words on any text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_bert import make_tiny_encoder

from annotator.model import load_encoder
from annotator.model.masking import MaskedBatch, WordMasker
from annotator.model.pieces import PieceSentence

WORDS = st.sampled_from(["aspirin", "rash", "xylitol", "500", ".", "😀", "é", ""])
SENTENCES = st.lists(st.lists(WORDS, max_size=100), min_size=1, max_size=4)
SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def masker(tmp_path_factory: pytest.TempPathFactory) -> WordMasker:
    folder = make_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny")
    return WordMasker(load_encoder(str(folder)), share=0.15)


def mask(
    masker: WordMasker, sentences: Sequence[Sequence[str]], seed: int
) -> tuple[list[PieceSentence], MaskedBatch]:
    """Hide words of the sentences that have a row each and something to guess."""
    found = masker.encode([*sentences, ["rash", "after", "aspirin"]])
    usable = [one for one in found if len(one.windows.start) == 1 and not masker.is_hopeless(one)]
    return usable, masker.collate(usable, torch.Generator().manual_seed(seed))


@given(sentences=SENTENCES, seed=SEEDS)
def test_whole_words_are_chosen_at_least_one_a_sentence_and_never_special_pieces(
    masker: WordMasker, sentences: list[list[str]], seed: int
) -> None:
    pieces, batch = mask(masker, sentences, seed)

    chosen = torch.zeros(batch.input_ids.numel(), dtype=torch.bool)
    chosen[batch.positions] = True
    table = chosen.view(batch.input_ids.shape).numpy()
    by_sentence = [line[1 : len(one.ids) + 1] for line, one in zip(table, pieces, strict=True)]
    words = [
        (flags, ids)
        for one, picked in zip(pieces, by_sentence, strict=True)
        for flags, ids in zip(
            np.split(picked, one.first_piece[1:]), np.split(one.ids, one.first_piece[1:]),
            strict=True,
        )
    ]  # fmt: skip
    assert chosen.sum() == sum(picked.sum() for picked in by_sentence)
    assert all(flags.all() or not flags.any() for flags, _ in words)
    assert not any(flags.any() and masker.is_special[ids].any() for flags, ids in words)
    assert all(picked.any() for picked in by_sentence)


@given(sentences=SENTENCES, seed=SEEDS)
def test_putting_the_targets_back_gives_the_text_again(
    masker: WordMasker, sentences: list[list[str]], seed: int
) -> None:
    pieces, batch = mask(masker, sentences, seed)

    restored = batch.input_ids.flatten().clone()
    restored[batch.positions] = batch.targets
    table = restored.view(batch.input_ids.shape).numpy()
    assert all((line[1 : len(one.ids) + 1] == one.ids).all()
               for line, one in zip(table, pieces, strict=True))  # fmt: skip
