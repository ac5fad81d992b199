"""Odd, poor and very large input: it is learnt and predicted, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA, make_tagged, make_tiny_encoder

from annotator.domain import LabelSchema, TaggedSentence, Token, WordEntity, WordRelation
from annotator.errors import TrainingError
from annotator.model import JointModel, ModelConfig, Predictor, load_encoder
from annotator.model.signals import SIGNALS
from annotator.training import TrainingResult, TrainingSettings, evaluate

pytestmark = pytest.mark.slow

Train = Callable[..., TrainingResult]
Quick = Callable[..., TrainingSettings]

MANY = LabelSchema(
    entity_types=tuple(f"T{i}" for i in range(200)),
    relation_types=tuple(f"r{i}" for i in range(50)),
)
ODD_WORDS = {
    "emoji": ("😀", "👩‍⚕️", "🏽", "rash"),
    "combining marks": ("e\u0301", "\u0301", "a\u0300\u0301\u0302", "rash"),
    "zero width": ("\u200b", "\u200d", "\ufeff", "ra\u200bsh"),
    "lone surrogates": ("\ud83d", "a\udc00", "\ude00\ud83d", "rash"),
    "right to left": ("שלום", "مرحبا", "\u202ea", "rash"),
    "line ends": ("a\r\nb", "\r\n", "\r", "\n"),
    "controls": ("\x00", "\x07", "\x1b[0m", "rash"),
    "beyond the first plane": ("\U0001d4b3\U0001d4b4", "\U00010348", "\U0001f130", "rash"),
    "nothing at all": ("", " ", "\t", ""),
}


def make_words(words: tuple[str, ...], *, id: str = "odd") -> TaggedSentence:
    """A sentence of these words, the first a drug that causes the last."""
    starts = np.cumsum([0, *(len(word) + 1 for word in words)]).tolist()
    last = len(words) - 1
    return TaggedSentence(
        id=id,
        words=words,
        tokens=tuple(
            Token(start=start, end=start + max(1, len(word)))
            for start, word in zip(starts, words, strict=False)
        ),
        start=0,
        end=starts[-1] + 1,
        entities=(
            WordEntity(type="Drug", first=0, last=0),
            WordEntity(type="Effect", first=last, last=last),
        ),
        relations=(WordRelation(type="causes", head=0, tail=1),),
    )


@contextmanager
def sizes_read(model: JointModel) -> Iterator[list[int]]:
    """Collects how many pieces, padding included, the encoder reads at a time."""
    seen: list[int] = []
    hook = model.encoder.register_forward_pre_hook(
        lambda _network, _args, kwargs: seen.append(kwargs["attention_mask"].numel()),
        with_kwargs=True,
    )
    yield seen
    hook.remove()


@pytest.fixture
def build_predictor(tiny_encoder: Path) -> Callable[[LabelSchema], Predictor]:
    """Builds a predictor with random weights for a schema; 1,024 pieces at a time."""

    def build(schema: LabelSchema) -> Predictor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            config = ModelConfig(schema=schema, encoder=str(tiny_encoder), hidden=24, width=16)
            model = JointModel(load_encoder(str(tiny_encoder)), config)
        return Predictor(model, token_budget=1024)

    return build


@pytest.mark.parametrize("words", ODD_WORDS.values(), ids=ODD_WORDS)
def test_odd_words_are_learnt_and_predicted(
    train_tiny: Train, quick: Quick, tmp_path: Path, words: tuple[str, ...]
) -> None:
    sentences = (make_words(words), *EIGHT_SENTENCES)
    settings = quick(min_steps=60, batch_size=9, encoder_lr=5e-3, head_lr=1e-2)

    train_tiny(sentences, settings=settings, folder=tmp_path / "v1")

    predicted = Predictor.load(tmp_path / "v1", device="cpu").predict(sentences)
    assert evaluate(EIGHT_SENTENCES, predicted[1:]).ner.micro.f1 == 100.0
    assert predicted[0].signals["n_words"] == len(words)
    assert np.isfinite([list(found.signals.values()) for found in predicted]).all()


@pytest.mark.parametrize(
    "sentences",
    [(), (make_tagged(""),), (make_tagged(""), make_tagged(""))],
    ids=["none", "one empty", "all empty"],
)
def test_predicting_nothing_gives_an_empty_prediction_a_sentence(
    build_predictor: Callable[[LabelSchema], Predictor], sentences: tuple[TaggedSentence, ...]
) -> None:
    predicted = build_predictor(TINY_SCHEMA).predict(sentences)

    assert [(found.entities, found.relations) for found in predicted] == [((), ())] * len(sentences)
    assert [found.signals for found in predicted] == [dict.fromkeys(SIGNALS, 0.0)] * len(sentences)


def test_empty_sentences_among_others_are_passed_over_in_training(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    with_empty = (make_tagged("", id="e1"), *EIGHT_SENTENCES, make_tagged("", id="e2"))

    result = train_tiny(
        with_empty, settings=quick(epochs=1), folder=tmp_path / "a", dev=(make_tagged(""),)
    )

    plain = train_tiny(EIGHT_SENTENCES, settings=quick(epochs=1), folder=tmp_path / "b")
    assert result.n_sentences == 8
    assert result.weights_sha256 == plain.weights_sha256
    assert not result.calibration.fitted


def test_two_hundred_entity_types_and_fifty_relation_types_are_learnt(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    sentences = tuple(
        make_tagged(
            f"drug{i} caused rash{i} .",
            (f"T{4 * i}", 0, 0),
            (f"T{4 * i + 1}", 2, 2),
            relations=((f"r{i}", 0, 1),),
            id=f"s{i}",
        )
        for i in range(50)
    )

    result = train_tiny(
        sentences, schema=MANY, settings=quick(epochs=3, batch_size=16), folder=tmp_path / "a"
    )

    predictor = Predictor.load(tmp_path / "a", device="cpu")
    assert len(predictor.model.config.tags) == 801
    assert np.isfinite(result.loss)
    assert len(predictor.predict(sentences)) == 50


def test_many_types_in_a_long_sentence_never_hold_more_scores_than_the_block(
    build_predictor: Callable[[LabelSchema], Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 1 << 20
    monkeypatch.setattr("annotator.model.analysis._MAX_PAIR_SCORES", limit)
    predictor = build_predictor(MANY)
    scored: list[int] = []
    assert predictor.model.relation is not None
    predictor.model.relation.biaffine.register_forward_hook(
        lambda _module, _inputs, scores: scored.append(scores.numel())
    )

    [found] = predictor.predict([["aspirin", "rash", "x9", "of"] * 100])

    assert len(found.entities) > 100
    assert sum(scored) == 51 * len(found.entities) ** 2
    assert max(scored) <= limit


def test_encoder_reads_five_thousand_words_within_the_row_budget(
    build_predictor: Callable[[LabelSchema], Predictor],
) -> None:
    predictor = build_predictor(LabelSchema(entity_types=("Drug", "Effect")))
    words = ["aspirin", "induced", "rash", "😀", "and"] * 1000

    with sizes_read(predictor.model) as seen:
        [found] = predictor.predict([words])

    assert found.signals["n_words"] == 5000
    assert max(seen) <= 1024
    assert sum(seen) < 2 * 5000 * 1.5  # linear: windows overlap by a quarter


def test_five_thousand_words_with_a_relation_at_each_end_are_trained_on(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    long = make_tagged(
        "aspirin caused rash " + "of " * 4994 + "aspirin caused rash",
        ("Drug", 0, 0), ("Effect", 2, 2), ("Drug", 4997, 4997), ("Effect", 4999, 4999),
        relations=(("causes", 0, 1), ("causes", 2, 3)),
        id="long",
    )  # fmt: skip

    result = train_tiny((long, *EIGHT_SENTENCES), settings=quick(epochs=2), folder=tmp_path / "a")

    assert len(long.words) == 5000
    assert np.isfinite(result.loss)
    assert result.left_out == {}


def test_weights_that_overflow_stop_the_run_with_the_ids_of_the_batch_alone(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    folder = make_tiny_encoder(tmp_path / "broken")
    broken = load_encoder(str(folder)).tokenizer.convert_tokens_to_ids("ibuprofen")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][broken] = float("inf")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(TrainingError, match=r"at sentences (s2|s8): .*precision fp32") as caught:
        train_tiny(
            EIGHT_SENTENCES,
            encoder=str(folder),
            settings=quick(batch_size=1),
            folder=tmp_path / "a",
        )

    assert "ibuprofen" not in str(caught.value)
    assert not (tmp_path / "a").exists()
