"""Long sentences in windows against the same weights that read them whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_bert import TINY_SCHEMA
from tiny_encoders import make_family
from torch import Tensor
from windows import without_overlap

from annotator.model import JointModel, ModelConfig, Predictor, load_encoder
from annotator.model.batch import collate
from annotator.model.encoder import Encoder
from annotator.model.pieces import PieceSentence

N_POSITIONS = 2048


@pytest.fixture(scope="module")
def local_encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """Two layers that each look four pieces to either side, without absolute positions."""
    folder = make_family(
        "modernbert",
        tmp_path_factory.mktemp("encoder") / "local",
        local_attention=8,
        layer_types=["sliding_attention", "sliding_attention"],
        max_position_embeddings=N_POSITIONS,
    )
    encoder = load_encoder(str(folder))
    encoder.tokenizer.model_max_length = N_POSITIONS
    return encoder


@pytest.fixture
def build_local(local_encoder: Encoder) -> Callable[[int | None], JointModel]:
    """Builds the same model each time, with windows of the given length."""

    def build(max_pieces: int | None) -> JointModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            config = ModelConfig(
                schema=TINY_SCHEMA, hidden=8, width=8, label_embedding=4, max_pieces=max_pieces
            )
            return JointModel(local_encoder, config).eval()

    return build


@pytest.fixture
def words() -> list[str]:
    chosen = np.random.default_rng(0).integers(0, 5, 400)
    return [["rash", "fever", "x9", "aspirin", "of"][i] for i in chosen]


@torch.no_grad()
def states_of(model: JointModel, words: list[str], *, overlap: bool = True) -> Tensor:
    [sentence] = model.pieces.encode([words])
    cut = sentence if overlap else without_overlap(sentence, model.pieces.capacity)
    return model.encode(collate([cut], model.pieces))[0]


@pytest.mark.parametrize("max_pieces", [66, 98, 130])
def test_seam_changes_nothing_where_the_encoder_looks_no_further_than_the_overlap(
    build_local: Callable[[int | None], JointModel], words: list[str], max_pieces: int
) -> None:
    whole = states_of(build_local(None), words)

    cut = states_of(build_local(max_pieces), words)

    torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("max_pieces", [66, 98, 130])
def test_windows_without_overlap_would_change_the_words_beside_the_cuts(
    build_local: Callable[[int | None], JointModel], words: list[str], max_pieces: int
) -> None:
    whole = states_of(build_local(None), words)

    cut = states_of(build_local(max_pieces), words, overlap=False)

    assert ((cut - whole).abs().amax(dim=1) > 1e-4).sum() > 20


def test_predictions_over_seams_are_those_of_a_longer_encoder(
    build_local: Callable[[int | None], JointModel], words: list[str]
) -> None:
    [whole] = Predictor(build_local(None)).predict([words])

    [cut] = Predictor(build_local(98)).predict([words])

    assert [(e.type, e.first, e.last) for e in cut.entities] == [
        (e.type, e.first, e.last) for e in whole.entities
    ]
    assert {(r.type, r.head, r.tail) for r in cut.relations} == {
        (r.type, r.head, r.tail) for r in whole.relations
    }
    assert cut.signals == pytest.approx(whole.signals, rel=1e-3, abs=1e-4)


@torch.no_grad()
def slow_states(model: JointModel, sentence: PieceSentence) -> Tensor:
    """The mean state of each word, from its own window alone, read without any padding."""
    states = []
    lengths = np.diff(sentence.first_piece, append=len(sentence.ids))
    for first, length, owner in zip(
        sentence.first_piece, lengths, sentence.windows.owner, strict=True
    ):
        start, end = sentence.windows.start[owner], sentence.windows.end[owner]
        inner = sentence.ids[start:end].tolist()
        row = [*model.pieces.prefix.tolist(), *inner, *model.pieces.suffix.tolist()]
        ids = torch.tensor([row], device=model.device)
        found = model.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
        place = len(model.pieces.prefix) + first - start
        states.append(found.last_hidden_state[0, place : place + length].mean(dim=0))
    return torch.stack(states)


@pytest.mark.parametrize("i", [0, 1, 2], ids=["many windows", "one word", "several windows"])
def test_word_states_are_picked_from_the_windows_as_in_a_plain_loop(
    build_local: Callable[[int | None], JointModel],
    words: list[str],
    devices: torch.device,
    i: int,
) -> None:
    model = build_local(40).to(devices)
    sentences = model.pieces.encode([words[:150], words[:1], words[5:60]])

    with torch.no_grad():
        picked = model.encode(collate(sentences, model.pieces).to(devices))[i]

    n_words = sentences[i].n_words
    expected = slow_states(model, sentences[i])
    torch.testing.assert_close(picked[:n_words], expected, rtol=1e-4, atol=1e-5)
    assert not picked[n_words:].any()


def test_nothing_of_a_long_text_is_left_out(
    build_local: Callable[[int | None], JointModel],
) -> None:
    tokenizer = build_local(40).pieces

    [sentence] = tokenizer.encode([[f"x{i}" for i in range(3000)]])

    windows = sentence.windows
    covered = np.zeros(len(sentence.ids) + 1, dtype=np.int64)
    np.add.at(covered, windows.start, 1)
    np.add.at(covered, windows.end, -1)
    assert (np.cumsum(covered)[:-1] > 0).all()
    assert sentence.n_words == len(windows.owner) == 3000


def test_letters_of_a_word_beyond_its_64th_piece_change_nothing_else(
    build_local: Callable[[int | None], JointModel],
) -> None:
    model = build_local(None)
    cut, longer = (states_of(model, ["rash", "z" * n, "fever"]) for n in (64, 500))

    torch.testing.assert_close(cut, longer, rtol=1e-4, atol=1e-5)
