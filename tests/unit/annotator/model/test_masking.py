from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_bert import EIGHT_SENTENCES

from annotator.errors import ModelError
from annotator.model import Encoder, load_encoder
from annotator.model.masking import WordMasker, WordRow

SENTENCES = [sentence.words for sentence in EIGHT_SENTENCES]
MANY = [("aspirin", "induced", "rash", "xyz", "1234", ".") * 6] * 400


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(str(tiny_encoder))


@pytest.fixture
def masker(encoder: Encoder) -> WordMasker:
    return WordMasker(encoder, share=0.15)


def pieces_of(rows: list[WordRow]) -> np.ndarray:
    return np.concatenate([row.ids for row in rows])


def test_fifteen_percent_of_the_pieces_are_chosen(
    masker: WordMasker, rng: np.random.Generator
) -> None:
    rows = masker.rows(MANY)

    chosen = masker.choose(rows, rng)

    assert chosen.mean() == pytest.approx(0.15, abs=0.01)


def test_chosen_pieces_are_masked_replaced_or_kept_eight_to_one_to_one(
    masker: WordMasker, encoder: Encoder, rng: np.random.Generator
) -> None:
    ids = pieces_of(masker.rows(MANY))
    chosen = np.ones(len(ids), dtype=np.bool_)

    hidden = masker.hide(ids, chosen, rng)

    masked = (hidden == encoder.tokenizer.mask_token_id).mean()
    kept = (hidden == ids).mean()
    assert masked == pytest.approx(0.8, abs=0.01)
    assert kept == pytest.approx(0.1, abs=0.01)  # and one in a hundred is replaced by itself
    assert not masker.is_special[hidden[hidden != encoder.tokenizer.mask_token_id]].any()


def test_pieces_that_are_not_chosen_stay(masker: WordMasker, rng: np.random.Generator) -> None:
    ids = pieces_of(masker.rows(MANY))
    chosen = rng.random(len(ids)) < 0.5

    hidden = masker.hide(ids, chosen, rng)

    assert (hidden[~chosen] == ids[~chosen]).all()


def test_a_row_has_one_chosen_word_where_the_share_would_give_none(
    encoder: Encoder, rng: np.random.Generator
) -> None:
    masker = WordMasker(encoder, share=1e-9)
    rows = masker.rows(SENTENCES)

    chosen = masker.choose(rows, rng)

    owners = np.repeat(np.arange(len(rows)), [len(row.ids) for row in rows])
    words = np.concatenate([np.searchsorted(r.first_piece, np.arange(len(r.ids)), "right")
                            for r in rows])  # fmt: skip
    assert len(set(zip(owners[chosen], words[chosen], strict=True))) == len(rows)


def test_a_word_that_is_unknown_to_the_tokenizer_is_never_chosen(
    encoder: Encoder, rng: np.random.Generator
) -> None:
    masker = WordMasker(encoder, share=0.999)
    rows = masker.rows([("rash", "😀", "after", "😀", "aspirin")])

    chosen = masker.choose(rows, rng)

    assert rows[0].ids[~chosen].tolist() == [encoder.tokenizer.unk_token_id] * 2


def test_a_sentence_with_nothing_to_guess_has_no_row(masker: WordMasker) -> None:
    rows = masker.rows([("😀", "😀"), ("rash", "."), ()])

    assert [row.owner for row in rows] == [1]


def test_a_long_sentence_has_several_rows_that_fit_the_encoder(
    masker: WordMasker, encoder: Encoder
) -> None:
    rows = masker.rows([("aspirin",) * 300])

    assert len(rows) > 2
    assert max(len(row.ids) for row in rows) + masker.n_special <= encoder.max_pieces
    assert {int(row.first_piece[0]) for row in rows} == {0}


def test_a_batch_holds_the_rows_between_special_pieces_and_the_targets(
    masker: WordMasker, encoder: Encoder, rng: np.random.Generator
) -> None:
    rows = masker.rows(SENTENCES)

    batch = masker.collate(rows, rng)

    restored = batch.input_ids.flatten().clone()
    restored[batch.positions] = batch.targets
    assert batch.attention_mask is not None
    lengths = batch.attention_mask.sum(1).tolist()
    found = [
        line[:n]
        for line, n in zip(restored.view(batch.input_ids.shape).tolist(), lengths, strict=True)
    ]
    first, last = encoder.tokenizer.cls_token_id, encoder.tokenizer.sep_token_id
    assert found == [[first, *row.ids.tolist(), last] for row in rows]
    assert (batch.input_ids[~batch.attention_mask] == encoder.tokenizer.pad_token_id).all()


def test_a_batch_without_padding_has_no_attention_mask(
    masker: WordMasker, rng: np.random.Generator
) -> None:
    batch = masker.collate(masker.rows(MANY[:3]), rng)

    assert batch.attention_mask is None


def test_an_encoder_without_a_mask_piece_is_refused(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder))
    encoder.tokenizer.mask_token = None

    with pytest.raises(ModelError, match="has no mask piece"):
        WordMasker(encoder, share=0.15)
