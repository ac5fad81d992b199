from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bert import EIGHT_SENTENCES

from annotator.errors import ModelError
from annotator.model import Encoder, load_encoder
from annotator.model.masking import WordMasker

SENTENCES = [sentence.words for sentence in EIGHT_SENTENCES]
MANY = [("aspirin", "induced", "rash", "xyz", "1234", ".") * 6] * 400


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(str(tiny_encoder))


@pytest.fixture
def masker(encoder: Encoder) -> WordMasker:
    return WordMasker(encoder, share=0.15)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_fifteen_percent_of_the_pieces_are_chosen(
    masker: WordMasker, generator: torch.Generator
) -> None:
    pieces = masker.encode(MANY)

    batch = masker.collate(pieces, generator)

    share = len(batch.positions) / sum(len(one.ids) for one in pieces)
    assert share == pytest.approx(0.15, abs=0.01)


def test_chosen_pieces_are_masked_replaced_or_kept_eight_to_one_to_one(
    encoder: Encoder, generator: torch.Generator
) -> None:
    masker = WordMasker(encoder, share=0.999)

    batch = masker.collate(masker.encode(MANY), generator)

    hidden = batch.input_ids.flatten()[batch.positions]
    is_mask = hidden == encoder.tokenizer.mask_token_id
    assert is_mask.float().mean() == pytest.approx(0.8, abs=0.01)
    kept = (hidden == batch.targets).float().mean()
    assert kept == pytest.approx(0.1, abs=0.01)  # and one in a hundred is replaced by itself
    assert not masker.is_special[hidden[~is_mask]].any()


def test_a_sentence_has_one_chosen_word_where_the_share_would_give_none(
    encoder: Encoder, generator: torch.Generator
) -> None:
    masker = WordMasker(encoder, share=1e-9)
    pieces = masker.encode(SENTENCES)

    batch = masker.collate(pieces, generator)

    width = batch.input_ids.shape[1]
    places = [(at // width, at % width - 1) for at in batch.positions.tolist()]
    words = {(i, int(np.searchsorted(pieces[i].first_piece, j, "right"))) for i, j in places}
    assert [i for i, _ in sorted(words)] == list(range(len(SENTENCES)))


def test_a_word_that_is_unknown_to_the_tokenizer_is_never_chosen(
    encoder: Encoder, generator: torch.Generator
) -> None:
    masker = WordMasker(encoder, share=0.999)
    [sentence] = masker.encode([("rash", "😀", "after", "😀", "aspirin")])

    batch = masker.collate([sentence], generator)

    left = np.delete(sentence.ids, batch.positions.numpy() - 1)
    assert left.tolist() == [encoder.tokenizer.unk_token_id] * 2


def test_a_sentence_with_nothing_to_guess_is_hopeless(masker: WordMasker) -> None:
    pieces = masker.encode([("😀", "😀"), ("rash", "."), ("😀", "rash"), ()])

    assert [masker.is_hopeless(one) for one in pieces] == [True, False, False, True]


def test_a_long_sentence_has_several_rows_that_fit_the_encoder(
    masker: WordMasker, encoder: Encoder, generator: torch.Generator
) -> None:
    batch = masker.collate(masker.encode([("aspirin",) * 300]), generator)

    n_rows, width = batch.input_ids.shape
    assert n_rows > 2
    assert width <= encoder.max_pieces
    assert len(set((batch.positions // width).tolist())) > 1


def test_a_batch_holds_the_sentences_between_special_pieces_and_the_targets(
    masker: WordMasker, encoder: Encoder, generator: torch.Generator
) -> None:
    pieces = masker.encode(SENTENCES)

    batch = masker.collate(pieces, generator)

    restored = batch.input_ids.flatten().clone()
    restored[batch.positions] = batch.targets
    lengths = batch.attention_mask.sum(1).tolist()
    found = [
        line[:n]
        for line, n in zip(restored.view(batch.input_ids.shape).tolist(), lengths, strict=True)
    ]
    first, last = encoder.tokenizer.cls_token_id, encoder.tokenizer.sep_token_id
    assert found == [[first, *one.ids.tolist(), last] for one in pieces]
    assert (batch.input_ids[~batch.attention_mask] == encoder.tokenizer.pad_token_id).all()


def test_an_encoder_without_a_mask_piece_is_refused(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder))
    encoder.tokenizer.mask_token = None

    with pytest.raises(ModelError, match="has no mask piece"):
        WordMasker(encoder, share=0.15)
