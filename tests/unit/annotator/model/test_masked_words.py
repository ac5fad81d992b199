from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tiny_bert import EIGHT_SENTENCES
from torch.nn import functional

from annotator.errors import ModelError
from annotator.model import load_encoder
from annotator.model.masked_words import (
    HEAD_FILE,
    MaskedWordHead,
    MaskedWordModel,
    load_head_weights,
    save_adapted,
)
from annotator.model.masking import MaskedBatch, WordMasker

SENTENCES = [sentence.words for sentence in EIGHT_SENTENCES]
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 140,
    "pad_token_id": 0,
}
FAMILIES = {
    "Bert": TINY,
    "Roberta": TINY,
    "DistilBert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "pad_token_id": 0},
    "Albert": {**TINY, "embedding_size": 16},
}


@pytest.fixture
def model(tiny_encoder: Path) -> MaskedWordModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return MaskedWordModel(load_encoder(str(tiny_encoder)))


@pytest.fixture
def batch(tiny_encoder: Path, rng: np.random.Generator) -> MaskedBatch:
    masker = WordMasker(load_encoder(str(tiny_encoder)), share=0.3)
    return masker.collate(masker.rows(SENTENCES), rng)


def make_pretrained(family: str, tiny_encoder: Path, folder: Path) -> transformers.PreTrainedModel:
    """Write a tiny checkpoint with a trained head, as a hub has them."""
    shutil.copytree(tiny_encoder, folder)
    vocabulary = len(load_encoder(str(tiny_encoder)).tokenizer)
    config = getattr(transformers, f"{family}Config")(vocab_size=vocabulary, **FAMILIES[family])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        full = getattr(transformers, f"{family}ForMaskedLM")(config).eval()
        for parameter in full.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    full.save_pretrained(folder)
    return full


def test_scores_are_those_of_a_loop_over_pieces_with_the_embedding() -> None:
    generator = torch.Generator().manual_seed(1)
    head = MaskedWordHead(6, 9, embedding_width=4)
    states = torch.randn(3, 6, generator=generator)
    embedding = torch.randn(9, 4, generator=generator)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, generator=generator)

    scores = head(states, embedding)

    hidden = head.norm(functional.gelu(head.dense(states)))
    slow = torch.stack(
        [
            torch.stack([(hidden[i] * embedding[j]).sum() + head.bias[j] for j in range(9)])
            for i in range(3)
        ]
    )
    torch.testing.assert_close(scores, slow)


def test_gradients_of_the_head_are_right() -> None:
    generator = torch.Generator().manual_seed(1)
    head = MaskedWordHead(5, 7, embedding_width=4).double()
    states = torch.randn(2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    embedding = torch.randn(7, 4, generator=generator, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(head, (states, embedding))


def test_a_fresh_head_begins_at_the_frequencies_of_pieces() -> None:
    head = MaskedWordHead(4, 3, embedding_width=4)

    head.start_from_counts(np.array([7, 0, 1]))

    assert head.bias.exp().tolist() == pytest.approx([8 / 11, 1 / 11, 2 / 11])


def test_loss_is_that_of_projecting_every_position(
    model: MaskedWordModel, batch: MaskedBatch
) -> None:
    with torch.no_grad():
        loss = model.loss(batch)

        states = model.network(batch.input_ids, batch.attention_mask).last_hidden_state
        logits = model.head(states, model.embedding).flatten(0, 1)
        full = functional.cross_entropy(logits[batch.positions], batch.targets)
    torch.testing.assert_close(loss, full)


def test_a_frozen_encoder_takes_no_gradient_and_its_head_does(
    model: MaskedWordModel, batch: MaskedBatch
) -> None:
    model.loss(batch, frozen=True).backward()

    assert {p.grad is None for p in model.network.parameters()} == {True}
    assert {p.grad is None for p in model.head.parameters()} == {False}


def test_the_embedding_learns_from_both_of_its_ends(
    model: MaskedWordModel, batch: MaskedBatch
) -> None:
    model.loss(batch).backward()

    gradient = model.embedding.grad
    assert gradient is not None
    assert gradient.count_nonzero(dim=1).bool().all()  # the output side reaches every piece


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_that_a_checkpoint_brings_scores_as_in_its_own_model(
    tiny_encoder: Path, batch: MaskedBatch, tmp_path: Path, family: str
) -> None:
    full = make_pretrained(family, tiny_encoder, tmp_path / family)
    encoder = load_encoder(str(tmp_path / family))

    model = MaskedWordModel(encoder, load_head_weights(encoder))

    with torch.no_grad():
        expected = functional.cross_entropy(
            full(batch.input_ids, batch.attention_mask).logits.flatten(0, 1)[batch.positions],
            batch.targets,
        )
        torch.testing.assert_close(model.loss(batch), expected, rtol=1e-4, atol=1e-4)


def test_an_encoder_without_a_head_gets_a_fresh_one(tiny_encoder: Path) -> None:
    assert load_head_weights(load_encoder(str(tiny_encoder))) is None


def test_what_is_saved_loads_as_an_encoder_with_its_head(
    model: MaskedWordModel, tiny_encoder: Path, batch: MaskedBatch, tmp_path: Path
) -> None:
    parts = load_encoder(str(tiny_encoder))
    parts = type(parts)(name=parts.name, network=model.network, tokenizer=parts.tokenizer)

    save_adapted(model, parts, tmp_path / "new", card="# Card\n")

    again = load_encoder(str(tmp_path / "new"))
    restored = MaskedWordModel(again, load_head_weights(again))
    assert torch.equal(restored.loss(batch), model.loss(batch))
    assert again.max_pieces == parts.max_pieces
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_damaged_head_is_an_error_that_says_what_to_do(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (tmp_path / "encoder" / HEAD_FILE).write_bytes(b"\x00" * 40)

    with pytest.raises(ModelError, match="fresh head"):
        load_head_weights(load_encoder(str(tmp_path / "encoder")))
