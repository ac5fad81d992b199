"""Attention over words, against plain loops, and what is told where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from annotator.errors import AnnotatorError, InputError, ModelError
from annotator.model import load_encoder
from annotator.model.attention import (
    PATTERNS,
    HeadWeight,
    WordAttention,
    attend,
    find_heads,
    merge_pieces,
    pattern_weights,
    renormalise,
)
from annotator.model.encoder import Encoder
from annotator.model.pieces import PieceTokenizer

WORDS = ("aspirinol", "induced", "ibuprofenish", "rash", ".")
N_WORDS = 4
PIECE_WORDS = (-1, 0, 0, 1, 2, 2, 2, 3, -1)


@pytest.fixture
def attention(generator: torch.Generator) -> Tensor:
    """Random attention of two layers of three heads over nine pieces."""
    n_pieces = len(PIECE_WORDS)
    return torch.randn(2, 3, n_pieces, n_pieces, generator=generator).mul(2).softmax(dim=-1)


def merge_slowly(attention: Tensor, piece_words: tuple[int, ...], n_words: int) -> Tensor:
    merged = torch.zeros(*attention.shape[:2], n_words, n_words)
    for layer in range(attention.shape[0]):
        for head in range(attention.shape[1]):
            for source in range(n_words):
                rows = [i for i, word in enumerate(piece_words) if word == source]
                for target in range(n_words):
                    columns = [j for j, word in enumerate(piece_words) if word == target]
                    total = sum(float(attention[layer, head, i, j]) for i in rows for j in columns)
                    merged[layer, head, source, target] = total / len(rows)
    return merged


def test_merged_pieces_equal_a_plain_loop_over_words(attention: Tensor) -> None:
    found = merge_pieces(attention, torch.tensor(PIECE_WORDS), n_words=N_WORDS)

    torch.testing.assert_close(found, merge_slowly(attention, PIECE_WORDS, N_WORDS))


def test_where_no_piece_is_left_out_merged_rows_sum_to_one(attention: Tensor) -> None:
    piece_words = torch.tensor([0, 0, 0, 1, 2, 2, 3, 3, 3])

    found = merge_pieces(attention, piece_words, n_words=N_WORDS)

    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, 3, N_WORDS))


def test_a_word_without_pieces_gets_and_gives_nothing(attention: Tensor) -> None:
    found = merge_pieces(attention, torch.tensor(PIECE_WORDS), n_words=N_WORDS + 1)

    assert not found[..., N_WORDS, :].any()
    assert not found[..., :, N_WORDS].any()


def test_renormalised_rows_sum_to_one_in_unchanged_proportions(attention: Tensor) -> None:
    shares = merge_pieces(attention, torch.tensor(PIECE_WORDS), n_words=N_WORDS)

    weights = renormalise(shares)

    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3, N_WORDS))
    torch.testing.assert_close(weights[..., 1] * shares[..., 0], weights[..., 0] * shares[..., 1])


def test_a_row_of_zeros_stays_a_row_of_zeros() -> None:
    assert torch.equal(renormalise(torch.zeros(1, 1, 2, 2)), torch.zeros(1, 1, 2, 2))


# ---------------------------------------------------------------- patterns


def made(pattern: str, n_words: int = 5) -> WordAttention:
    """Three layers of two heads that look everywhere alike, but the second of layer three."""
    shares = torch.full((3, 2, n_words, n_words), 1 / (n_words + 2))
    start = torch.full((3, 2, n_words), 1 / (n_words + 2))
    end = start.clone()
    eye = torch.eye(n_words)
    maps = {
        "self": eye,
        "next": eye.roll(1, dims=1),
        "previous": eye.roll(-1, dims=1),
        "last": torch.zeros(n_words, n_words).index_fill(1, torch.tensor([n_words - 1]), 1.0),
        "end": torch.zeros(n_words, n_words),
    }
    shares[2, 1] = maps[pattern]
    start[2, 1] = 0.0
    end[2, 1] = float(pattern == "end")
    return WordAttention(shares=shares, start=start, end=end)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_head_that_follows_a_pattern_is_found_with_its_weight(pattern: Any) -> None:
    found = find_heads(made(pattern), n_best=2)

    assert found[pattern][0] == HeadWeight(layer=3, head=2, weight=pytest.approx(1.0))
    assert found[pattern][1] == HeadWeight(layer=1, head=1, weight=pytest.approx(1 / 7))


def test_heads_are_listed_strongest_first_and_no_more_than_asked_for(attention: Tensor) -> None:
    shares = merge_pieces(attention, torch.tensor(PIECE_WORDS), n_words=N_WORDS)
    zeros = torch.zeros(2, 3, N_WORDS)

    found = find_heads(WordAttention(shares=shares, start=zeros, end=zeros), n_best=4)

    weights = [one.weight for one in found["next"]]
    assert weights == sorted(weights, reverse=True)
    assert {pattern: len(heads) for pattern, heads in found.items()} == dict.fromkeys(PATTERNS, 4)


def test_pattern_weights_equal_plain_loops(attention: Tensor) -> None:
    shares = merge_pieces(attention, torch.tensor(PIECE_WORDS), n_words=N_WORDS)
    end = attention[..., :N_WORDS, 0]

    found = pattern_weights(WordAttention(shares=shares, start=end, end=end))

    one = shares[1, 2].tolist()
    assert {pattern: float(weight[1, 2]) for pattern, weight in found.items()} == pytest.approx(
        {
            "next": (one[0][1] + one[1][2] + one[2][3]) / 3,
            "previous": (one[1][0] + one[2][1] + one[3][2]) / 3,
            "self": (one[0][0] + one[1][1] + one[2][2] + one[3][3]) / 4,
            "last": (one[0][3] + one[1][3] + one[2][3] + one[3][3]) / 4,
            "end": sum(end[1, 2].tolist()) / 4,
        }
    )


def test_a_head_that_looks_at_the_separator_does_not_pass_for_anything_else() -> None:
    shares = torch.stack([torch.eye(3).roll(1, dims=1) * 0.01, torch.full((3, 3), 0.3)])[None]
    rest = torch.zeros(1, 2, 3)
    attention = WordAttention(shares=shares, start=rest, end=1 - shares.sum(dim=-1))

    found = find_heads(attention, n_best=1)

    assert (found["end"][0].head, found["next"][0].head) == (1, 2)


# ---------------------------------------------------------------- a real encoder


@pytest.fixture
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(str(tiny_encoder))


def look(encoder: Encoder, words: tuple[str, ...] = WORDS) -> WordAttention:
    return attend(encoder, PieceTokenizer(encoder), words)


def test_attention_of_an_encoder_equals_its_own_merged_by_a_loop(encoder: Encoder) -> None:
    encoded = encoder.tokenizer(list(WORDS), is_split_into_words=True, return_tensors="pt")
    owners = [-1 if word is None else word for word in encoded.word_ids()]
    encoder.network.set_attn_implementation("eager")
    with torch.no_grad():
        output = encoder.network(input_ids=encoded["input_ids"], output_attentions=True)

    found = look(encoder)

    raw = torch.cat(output.attentions)
    everything = tuple(len(WORDS) if owner < 0 and i else owner for i, owner in enumerate(owners))
    expected = merge_slowly(raw, everything, len(WORDS) + 1)
    assert len(owners) > len(WORDS) + 2  # words of several pieces are among them
    torch.testing.assert_close(found.shares, expected[..., :-1, :-1])
    torch.testing.assert_close(found.end, expected[..., :-1, -1])


def test_shares_with_start_and_end_sum_to_one_and_weights_without(encoder: Encoder) -> None:
    found = look(encoder)

    ones = torch.ones(2, 4, len(WORDS))
    torch.testing.assert_close(found.shares.sum(dim=-1) + found.start + found.end, ones)
    torch.testing.assert_close(found.weights.sum(dim=-1), ones)


@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_is_afterwards_as_it_was(encoder: Encoder, training: bool) -> None:
    encoder.network.train(training)

    look(encoder)

    assert encoder.network.config._attn_implementation == "sdpa"
    assert encoder.network.training is training


def test_dropout_has_no_part_in_it(encoder: Encoder) -> None:
    encoder.network.train()

    first, second = look(encoder), look(encoder)

    assert torch.equal(first.shares, second.shares)


def test_the_encoder_is_as_it_was_after_a_failure_too(encoder: Encoder) -> None:
    encoder.network.encoder.layer[1].register_forward_hook(lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        look(encoder)

    assert encoder.network.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("words", [(), ("quillfeather",)], ids=["none", "one"])
def test_less_than_two_words_are_refused(encoder: Encoder, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=f"two are needed, the text has {len(words)}$"):
        look(encoder, words)


def test_too_many_words_are_refused_with_how_many_fit(encoder: Encoder) -> None:
    words = ("quillfeather", "rash") * 60

    with pytest.raises(InputError) as caught:
        look(encoder, words)

    n_fit = int(str(caught.value).partition("first ")[2].split()[0])
    assert "the text has 120 words" in str(caught.value)
    assert "quillfeather" not in str(caught.value)
    assert look(encoder, words[:n_fit]).shares.shape[-1] == n_fit
    with pytest.raises(InputError):
        look(encoder, words[: n_fit + 1])


SIZES: dict[str, Any] = {
    "vocab_size": 200,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
}


def of_type(kind: str, tokenizer: Any, **sizes: Any) -> Encoder:
    config = getattr(transformers, f"{kind}Config")(**sizes)
    network = getattr(transformers, f"{kind}Model")(config)
    return Encoder(name="odd", network=network, tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("kind", "sizes", "reason"),
    [
        pytest.param("FNet", SIZES, "it tells none", id="no attention at all"),
        pytest.param(
            "Longformer", {**SIZES, "attention_window": 4}, "something else", id="within a window"
        ),
        pytest.param(
            "Funnel",
            {"vocab_size": 200, "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64,
             "block_sizes": [1, 1]},
            "something else",
            id="between fewer positions",
        ),
    ],
)  # fmt: skip
def test_an_encoder_without_attention_between_all_pieces_is_refused(
    encoder: Encoder, kind: str, sizes: dict[str, Any], reason: str
) -> None:
    odd = of_type(kind, encoder.tokenizer, **sizes)

    with pytest.raises(ModelError, match=f"encoder 'odd' .of type {kind.lower()}.*{reason}"):
        look(odd)


class OnlyFast(torch.nn.Module):
    """A network that cannot compute attention the plain way."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.config = transformers.BertConfig(attn_implementation="sdpa", **SIZES)

    def set_attn_implementation(self, name: str) -> None:
        raise ValueError(f"no {name} here")


def test_an_encoder_that_cannot_compute_it_plainly_is_refused(encoder: Encoder) -> None:
    fast = Encoder(name="fast", network=OnlyFast(), tokenizer=encoder.tokenizer)

    with pytest.raises(AnnotatorError, match="cannot compute attention the plain way"):
        look(fast)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        pytest.param("DebertaV2", SIZES, id="relative positions"),
        pytest.param(
            "XLNet",
            {"vocab_size": 200, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
            id="two streams",
        ),
    ],
)
def test_other_encoders_with_attention_between_all_pieces_are_read(
    encoder: Encoder, kind: str, sizes: dict[str, Any]
) -> None:
    found = look(of_type(kind, encoder.tokenizer, **sizes))

    ones = torch.ones(2, 4, len(WORDS))
    torch.testing.assert_close(found.shares.sum(dim=-1) + found.start + found.end, ones)
