"""What `load_encoder` promises holds for every family of encoders and kind of tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA
from tiny_encoders import N_POSITIONS, make_family
from torch import Tensor

from annotator.errors import ModelError
from annotator.model import (
    JointModel,
    ModelConfig,
    Predictor,
    SentencePrediction,
    load_checkpoint,
    load_encoder,
    save_checkpoint,
)
from annotator.model.batch import collate
from annotator.training import TrainingSettings, evaluate, train

pytestmark = pytest.mark.slow

NAMES = [
    "bert",
    "bert-cased",
    "bert-normalising",
    "distilbert",
    "electra",
    "mpnet",
    "roberta",
    "xlm-roberta",
    "deberta",
    "deberta-v3",
    "xlnet",
    "albert",
    "modernbert",
    "squeezebert",
]
POSITIONS = {"xlnet": 512}  # its own positions have no end
HEADS = {"hidden": 48, "width": 32, "label_embedding": 8}
SETTINGS = TrainingSettings(
    epochs=40, min_steps=0, batch_size=8, encoder_lr=5e-3, head_lr=1e-2, seed=1
)
WORDS = [list(sentence.words) for sentence in EIGHT_SENTENCES]
#: Words that one normaliser or another lengthens, shortens, splits or drops.
ODD_WORDS = [
    "Aspirin", "ﬁbrosis", "½", "e\u0301", "İx", "㎎", "\uff21\uff22", "naïve", "😀", "\u200b", "",
    "\u0301", "\ufeff", "שלום", "\r\n", "\ud83d", "a\u00a0b", "rash",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny encoder, written once."""
    root = tmp_path_factory.mktemp("families")
    made: dict[str, Path] = {}

    def find(name: str) -> Path:
        return made.setdefault(name, make_family(name, root / name))

    return find


@pytest.fixture
def model(folder: Callable[[str], Path], request: pytest.FixtureRequest) -> JointModel:
    """A joint model with random heads on the encoder of the family ``name``."""
    source = str(folder(request.getfixturevalue("name")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = ModelConfig(schema=TINY_SCHEMA, encoder=source, **HEADS)
        return JointModel(load_encoder(source), config).eval()


def states_of(model: JointModel, sentences: Sequence[Sequence[str]]) -> Tensor:
    with torch.no_grad():
        return model.encode(collate(model.pieces.encode(sentences), model.pieces))


def bare(prediction: SentencePrediction) -> list[tuple[object, ...]]:
    entities = [(e.type, e.first, e.last) for e in prediction.entities]
    return [*entities, *((r.type, r.head, r.tail) for r in prediction.relations)]


def signals(predictions: Sequence[SentencePrediction]) -> list[list[float]]:
    return [list(found.signals.values()) for found in predictions]


@pytest.mark.parametrize("name", NAMES)
def test_family_learns_eight_sentences_by_heart_and_is_restored(
    folder: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    train(
        EIGHT_SENTENCES,
        schema=TINY_SCHEMA,
        encoder=str(folder(name)),
        settings=SETTINGS,
        folder=tmp_path / "v1",
        options=HEADS,
    )

    predictor = Predictor.load(tmp_path / "v1", device="cpu")
    together = predictor.predict(WORDS)
    turned = predictor.predict(WORDS[::-1])[::-1]
    alone = [predictor.predict([words])[0] for words in WORDS]

    scores = evaluate(EIGHT_SENTENCES, together)
    assert (scores.ner.micro.f1, scores.re.micro.f1) == (100.0, 100.0)
    assert [bare(found) for found in turned] == [bare(found) for found in together]
    assert [bare(found) for found in alone] == [bare(found) for found in together]
    np.testing.assert_allclose(signals(turned), signals(together), atol=1e-4)
    np.testing.assert_allclose(signals(alone), signals(together), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_saved_model_predicts_the_same_as_before(
    model: JointModel, tmp_path: Path, name: str
) -> None:
    save_checkpoint(model, tmp_path / "v1")

    restored = load_checkpoint(tmp_path / "v1")
    sentences = [*WORDS, ODD_WORDS]
    before, after = (Predictor(m).predict(sentences) for m in (model, restored))
    assert [bare(found) for found in after] == [bare(found) for found in before]
    assert signals(after) == signals(before)
    assert [p.ids.tolist() for p in restored.pieces.encode(sentences)] == [
        p.ids.tolist() for p in model.pieces.encode(sentences)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_padding_and_neighbours_change_no_state(model: JointModel, name: str) -> None:
    together = states_of(model, [WORDS[0], WORDS[0] * 6, WORDS[3]])

    alone = states_of(model, [WORDS[0]])

    n_words = len(WORDS[0])
    torch.testing.assert_close(together[0, :n_words], alone[0], rtol=1e-4, atol=1e-5)
    assert not together[0, n_words:].any()


@pytest.mark.parametrize("name", NAMES)
def test_embedded_pieces_are_read_like_their_numbers(model: JointModel, name: str) -> None:
    batch = collate(model.pieces.encode(WORDS), model.pieces)
    embed = model.encoder.get_input_embeddings()

    with torch.no_grad():
        by_number = model.encoder(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask
        ).last_hidden_state
        by_embedding = model.encoder(
            inputs_embeds=embed(batch.input_ids), attention_mask=batch.attention_mask
        ).last_hidden_state

    real = batch.attention_mask
    torch.testing.assert_close(by_embedding[real], by_number[real], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_window_as_long_as_the_encoder_allows_is_read(model: JointModel, name: str) -> None:
    n_words = 3 * model.pieces.capacity
    states = states_of(model, [["rash"] * n_words])

    assert states.isfinite().all()
    assert states[0].abs().sum(dim=1).all()


@pytest.mark.parametrize(
    ("name", "n_positions"), [(name, POSITIONS.get(name, N_POSITIONS)) for name in NAMES]
)
def test_positions_bound_the_window_where_the_tokenizer_names_no_length(
    folder: Callable[[str], Path], name: str, n_positions: int
) -> None:
    encoder = load_encoder(str(folder(name)))
    encoder.tokenizer.model_max_length = int(1e30)

    longest = encoder.max_pieces

    ids = torch.full((1, longest), encoder.tokenizer.convert_tokens_to_ids("a"))
    with torch.no_grad():
        states = encoder.network(input_ids=ids, attention_mask=ids > 0).last_hidden_state
    assert longest == n_positions
    assert states.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_word_has_a_piece_of_its_own_whatever_the_normaliser(
    model: JointModel, name: str
) -> None:
    [sentence] = model.pieces.encode([ODD_WORDS])

    assert sentence.n_words == len(ODD_WORDS)
    assert sentence.first_piece[0] == 0
    assert (np.diff(sentence.first_piece) > 0).all()
    assert sentence.first_piece[-1] < len(sentence.ids)


@pytest.mark.parametrize("name", NAMES)
def test_word_has_the_same_pieces_wherever_it_stands(model: JointModel, name: str) -> None:
    [sentence] = model.pieces.encode([ODD_WORDS])

    parts = np.split(sentence.ids, sentence.first_piece[1:])

    alone = [model.pieces.encode([[word]])[0].ids for word in ODD_WORDS]
    assert [part.tolist() for part in parts] == [ids.tolist() for ids in alone]


@pytest.mark.parametrize("name", NAMES)
def test_known_word_is_one_piece_at_any_place_as_in_running_text(
    model: JointModel, name: str
) -> None:
    [sentence] = model.pieces.encode([["rash", "fever", "rash"]])

    running = model.encoder_parts.tokenizer.backend_tokenizer.encode(
        " rash fever rash", add_special_tokens=False
    )
    assert sentence.ids.tolist() == running.ids
    assert len(running.ids) == 3


@pytest.mark.parametrize("name", NAMES)
def test_word_that_looks_like_a_special_piece_is_read_as_text(model: JointModel, name: str) -> None:
    tokenizer = model.encoder_parts.tokenizer
    looks = [tokenizer.sep_token, "rash", tokenizer.mask_token]

    [sentence] = model.pieces.encode([looks])

    assert not {tokenizer.sep_token_id, tokenizer.mask_token_id} & set(sentence.ids.tolist())


@pytest.mark.parametrize("name", NAMES)
def test_reduced_precision_gives_nearly_the_same_states(model: JointModel, name: str) -> None:
    batch = collate(model.pieces.encode(WORDS), model.pieces)

    with torch.no_grad():
        full, reduced = model.encode(batch), model.encode(batch, dtype=torch.bfloat16)

    assert reduced.dtype == torch.float32
    assert (full - reduced).abs().mean() < 0.02 * full.abs().mean() + 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_copy_of_the_encoder_in_reduced_precision_predicts_nearly_the_same(
    model: JointModel, name: str
) -> None:
    full, reduced = (Predictor(model, precision=p).predict(WORDS) for p in ("fp32", "bf16"))

    assert np.isfinite(signals(reduced)).all()
    gaps = np.abs(np.array(signals(full)) - np.array(signals(reduced)))
    entropy = list(full[0].signals).index("token_entropy")
    assert gaps[:, entropy].max() < 0.1


@pytest.mark.parametrize(
    ("name", "message"),
    [("fnet", "padded"), ("convbert", "padded"), ("bart", "decoder")],
)
def test_network_that_cannot_keep_the_promises_is_refused(
    folder: Callable[[str], Path], name: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_encoder(str(folder(name)))
