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
from annotator.model.masked_words import MaskedWordModel, save_adapted
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
def batch(tiny_encoder: Path) -> MaskedBatch:
    masker = WordMasker(load_encoder(str(tiny_encoder)), share=0.3)
    return masker.collate(masker.encode(SENTENCES), torch.Generator().manual_seed(5))


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


def test_a_fresh_head_begins_at_the_frequencies_of_pieces(model: MaskedWordModel) -> None:
    counts = np.zeros(model.network.get_input_embeddings().num_embeddings, dtype=np.int64)
    counts[3] = 7

    model.start_from_counts(counts)

    bias = model.full.get_output_embeddings().bias
    share = 1 / (len(counts) + 7)
    assert bias.exp()[:4].tolist() == pytest.approx([share, share, share, 8 * share])


def test_loss_is_that_of_projecting_every_position(
    model: MaskedWordModel, batch: MaskedBatch
) -> None:
    with torch.no_grad():
        loss = model.loss(batch)

        logits = model.full(batch.input_ids, batch.attention_mask).logits.flatten(0, 1)
        full = functional.cross_entropy(logits[batch.positions], batch.targets)
    torch.testing.assert_close(loss, full)


def test_a_frozen_encoder_takes_no_gradient_and_its_head_does(
    model: MaskedWordModel, batch: MaskedBatch
) -> None:
    model.loss(batch, frozen=True).backward()

    assert {p.grad is None for p in model.network.parameters()} == {True}
    head = model.full.cls.predictions
    assert {p.grad is None for p in (head.bias, *head.transform.parameters())} == {False}


def test_the_embedding_learns_from_both_of_its_ends(
    model: MaskedWordModel, batch: MaskedBatch
) -> None:
    model.loss(batch).backward()

    gradient = model.network.get_input_embeddings().weight.grad
    assert gradient is not None
    assert gradient.count_nonzero(dim=1).bool().all()  # the output side reaches every piece


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_that_a_checkpoint_brings_scores_as_in_its_own_model(
    tiny_encoder: Path, batch: MaskedBatch, tmp_path: Path, family: str
) -> None:
    full = make_pretrained(family, tiny_encoder, tmp_path / family)

    model = MaskedWordModel(load_encoder(str(tmp_path / family)))

    assert not model.is_fresh
    with torch.no_grad():
        expected = functional.cross_entropy(
            full(batch.input_ids, batch.attention_mask).logits.flatten(0, 1)[batch.positions],
            batch.targets,
        )
        torch.testing.assert_close(model.loss(batch), expected, rtol=1e-4, atol=1e-4)


def test_an_encoder_without_a_head_gets_a_fresh_one(tiny_encoder: Path) -> None:
    assert MaskedWordModel(load_encoder(str(tiny_encoder))).is_fresh


def test_what_is_saved_loads_as_an_encoder_with_its_head(
    model: MaskedWordModel, tiny_encoder: Path, batch: MaskedBatch, tmp_path: Path
) -> None:
    parts = load_encoder(str(tiny_encoder))
    parts = type(parts)(name=parts.name, network=model.network, tokenizer=parts.tokenizer)

    save_adapted(model, parts, tmp_path / "new", card="# Card\n")

    again = load_encoder(str(tmp_path / "new"))
    restored = MaskedWordModel(again)
    assert not restored.is_fresh
    assert torch.equal(restored.loss(batch), model.loss(batch))
    assert again.max_pieces == parts.max_pieces
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_tied_weights_are_in_the_state_once_and_come_back(
    model: MaskedWordModel, tiny_encoder: Path, batch: MaskedBatch
) -> None:
    state = model.state_dict()
    other = MaskedWordModel(load_encoder(str(tiny_encoder)))

    other.load_state_dict(state)

    assert len({value.data_ptr() for value in state.values()}) == len(state)
    assert torch.equal(other.loss(batch), model.loss(batch))


def test_a_family_that_guesses_no_words_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "xlnet")
    vocabulary = len(load_encoder(str(tiny_encoder)).tokenizer)
    config = transformers.XLNetConfig(vocab_size=vocabulary, d_model=32, n_layer=2, n_head=4)
    transformers.XLNetModel(config).save_pretrained(tmp_path / "xlnet")

    with pytest.raises(ModelError, match="a head that guesses masked words"):
        MaskedWordModel(load_encoder(str(tmp_path / "xlnet")))
