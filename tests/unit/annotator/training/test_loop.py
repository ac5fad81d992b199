from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA, make_tagged

from annotator.domain import LabelSchema
from annotator.errors import CancelledError, ConfigError, TrainingError
from annotator.model import JointModel, ModelConfig, Predictor, load_encoder
from annotator.training import (
    TrainingProgress,
    TrainingResult,
    TrainingSettings,
    evaluate,
)
from annotator.training.run import Run, TrainingData
from annotator.training.state import state_path

Train = Callable[..., TrainingResult]
Quick = Callable[..., TrainingSettings]


@pytest.fixture
def still_model(still_encoder: Path) -> JointModel:
    encoder = load_encoder(str(still_encoder))
    return JointModel(encoder, ModelConfig(schema=TINY_SCHEMA, dropout=0.0, hidden=8, width=8))


class Interrupter:
    """Stops a run after a number of steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, progress: TrainingProgress) -> None:
        if progress.step == self.after:
            raise CancelledError("stop")


def test_eight_sentences_are_learnt_by_heart(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    settings = quick(min_steps=60, batch_size=8, encoder_lr=5e-3, head_lr=1e-2)

    train_tiny(EIGHT_SENTENCES, settings=settings, folder=tmp_path / "v1")

    predicted = Predictor.load(tmp_path / "v1", device="cpu").predict(EIGHT_SENTENCES)
    scores = evaluate(EIGHT_SENTENCES, predicted)
    assert (scores.ner.micro.f1, scores.re.micro.f1) == (100.0, 100.0)


def test_same_seed_gives_the_same_weights(train_tiny: Train, quick: Quick, tmp_path: Path) -> None:
    first, again, other = (
        train_tiny(EIGHT_SENTENCES, settings=quick(seed=seed, epochs=2), folder=tmp_path / name)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )

    assert first.weights_sha256 == again.weights_sha256
    assert first.weights_sha256 != other.weights_sha256


@pytest.mark.parametrize("after", [1, 3])
def test_interrupted_run_ends_with_the_weights_of_an_unbroken_one(
    train_tiny: Train, quick: Quick, tmp_path: Path, after: int
) -> None:
    unbroken = train_tiny(EIGHT_SENTENCES, settings=quick(save_every_s=0), folder=tmp_path / "a")
    again = {"settings": quick(save_every_s=0), "folder": tmp_path / "b"}

    with pytest.raises(CancelledError):
        train_tiny(EIGHT_SENTENCES, **again, on_progress=Interrupter(after))
    resumed = train_tiny(EIGHT_SENTENCES, **again)

    assert resumed.resumed_from == after
    assert resumed.weights_sha256 == unbroken.weights_sha256
    assert resumed.loss == unbroken.loss
    assert not state_path(tmp_path / "b").exists()


def test_run_with_other_sentences_does_not_go_on_from_the_old_state(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    again = {"settings": quick(save_every_s=0), "folder": tmp_path / "a"}
    with pytest.raises(CancelledError):
        train_tiny(EIGHT_SENTENCES, **again, on_progress=Interrupter(3))

    result = train_tiny(EIGHT_SENTENCES[:6], **again)

    assert result.resumed_from == 0


def test_damaged_state_is_as_good_as_none(train_tiny: Train, quick: Quick, tmp_path: Path) -> None:
    state_path(tmp_path / "a").write_bytes(b"not a state")

    result = train_tiny(EIGHT_SENTENCES, settings=quick(), folder=tmp_path / "a")

    assert result.resumed_from == 0


def test_progress_counts_steps_epochs_and_time(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    seen: list[TrainingProgress] = []

    result = train_tiny(
        EIGHT_SENTENCES, settings=quick(), folder=tmp_path / "a", on_progress=seen.append
    )

    assert [progress.step for progress in seen] == list(range(1, 9))
    assert [progress.epoch for progress in seen] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert {(progress.n_steps, progress.n_epochs) for progress in seen} == {(8, 4)}
    assert seen[-1].remaining_s == 0.0
    assert seen[-1].words_per_s > 0
    assert (result.n_steps, result.n_epochs, result.n_sentences) == (8, 4, 8)


@pytest.mark.parametrize("sentences", [(), (make_tagged(""),)], ids=["none", "no words"])
def test_nothing_to_train_on_says_what_to_do(
    train_tiny: Train, quick: Quick, tmp_path: Path, sentences: tuple[()]
) -> None:
    with pytest.raises(TrainingError, match="label and submit"):
        train_tiny(sentences, settings=quick(), folder=tmp_path / "a")


def test_loss_that_is_not_finite_names_the_sentences(
    train_tiny: Train, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = torch.nn.functional.cross_entropy(torch.full((1, 2), float("nan")), torch.tensor([0]))
    monkeypatch.setattr("torch.nn.functional.cross_entropy", lambda *_, **__: nan)

    with pytest.raises(TrainingError, match="s1") as caught:
        train_tiny(EIGHT_SENTENCES, settings=quick(batch_size=8), folder=tmp_path / "a")

    assert "aspirin" not in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "sentences"),
    [
        (LabelSchema(entity_types=("Drug",)), EIGHT_SENTENCES),
        (LabelSchema(entity_types=("Drug", "Effect")), EIGHT_SENTENCES),
        (
            LabelSchema(entity_types=("Drug",), relation_types=("causes",)),
            (make_tagged("rash"), make_tagged("aspirin", ("Drug", 0, 0))),
        ),
        (LabelSchema(entity_types=("Drug",), relation_types=("causes",)), EIGHT_SENTENCES[2:3]),
    ],
    ids=["one type", "no relations", "single words", "no entities"],
)
def test_poor_data_train_a_model_that_predicts(
    train_tiny: Train,
    quick: Quick,
    tmp_path: Path,
    schema: LabelSchema,
    sentences: tuple[object, ...],
) -> None:
    train_tiny(sentences, schema=schema, settings=quick(epochs=2), folder=tmp_path / "a")

    predictor = Predictor.load(tmp_path / "a", device="cpu")
    assert len(predictor.predict(EIGHT_SENTENCES)) == 8


def test_labels_the_schema_does_not_know_are_reported_not_fatal(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    result = train_tiny(
        EIGHT_SENTENCES,
        schema=LabelSchema(entity_types=("Drug",)),
        settings=quick(epochs=1),
        folder=tmp_path / "a",
    )

    assert result.left_out == {"entity Effect": 7, "relation causes": 3, "relation treats": 2}


def test_held_out_sentences_calibrate_but_do_not_change_the_weights(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    plain = train_tiny(EIGHT_SENTENCES[:5], settings=quick(), folder=tmp_path / "a")

    held_out = train_tiny(
        EIGHT_SENTENCES[:5],
        dev=EIGHT_SENTENCES[5:],
        settings=quick(),
        folder=tmp_path / "b",
    )

    assert held_out.weights_sha256 == plain.weights_sha256
    assert (plain.calibration.fitted, held_out.calibration.fitted) == (False, True)
    loaded = Predictor.load(tmp_path / "b", device="cpu").model.calibration
    assert loaded == held_out.calibration


def test_global_generator_is_left_as_it_was(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    before = torch.get_rng_state()

    train_tiny(EIGHT_SENTENCES, settings=quick(epochs=1), folder=tmp_path / "a")

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "options",
    [
        {"candidates": "predicted"},
        {"candidates": "gold"},
        {"decoding": "argmax"},
        {"legal_pairs": False},
        {"projection": "shared", "bilinear": False},
    ],
    ids=["predicted", "gold", "argmax", "any pair", "ablated"],
)
def test_options_of_the_paper_train(
    train_tiny: Train, quick: Quick, tmp_path: Path, options: dict[str, object]
) -> None:
    result = train_tiny(
        EIGHT_SENTENCES, settings=quick(epochs=1), folder=tmp_path / "a", options=options
    )

    assert result.n_steps == 2


def test_unknown_option_is_refused(train_tiny: Train, quick: Quick, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="colour"):
        train_tiny(
            EIGHT_SENTENCES,
            settings=quick(),
            folder=tmp_path / "a",
            options={"colour": "red"},
        )


def test_long_sentences_train_in_windows(train_tiny: Train, quick: Quick, tmp_path: Path) -> None:
    long = make_tagged("aspirin " * 400 + "rash", ("Drug", 0, 0), ("Effect", 400, 400))

    result = train_tiny((long,), settings=quick(epochs=1), folder=tmp_path / "a")

    assert result.n_steps == 1


@pytest.mark.parametrize("extra", [{"ema": 0.9}, {"accumulation": 2}, {"precision": "fp16"}])
def test_interrupted_run_with_more_state_ends_with_the_same_weights(
    train_tiny: Train, quick: Quick, tmp_path: Path, extra: dict[str, object]
) -> None:
    settings = quick(save_every_s=0, **extra)
    unbroken = train_tiny(EIGHT_SENTENCES, settings=settings, folder=tmp_path / "a")
    again = {"settings": settings, "folder": tmp_path / "b"}

    with pytest.raises(CancelledError):
        train_tiny(EIGHT_SENTENCES, **again, on_progress=Interrupter(3))
    resumed = train_tiny(EIGHT_SENTENCES, **again)

    assert resumed.weights_sha256 == unbroken.weights_sha256


def test_micro_batches_add_up_to_the_gradient_of_the_whole_batch(
    still_model: JointModel, quick: Quick, tmp_path: Path
) -> None:
    data = TrainingData.encode(EIGHT_SENTENCES, still_model)
    gradients = []
    for accumulation in (1, 3):
        run = Run(
            still_model,
            data,
            quick(accumulation=accumulation, encoder_lr=0.0, head_lr=0.0, max_grad_norm=1e9),
            folder=tmp_path / "none",
            digest="",
        )
        run.step(np.arange(8))
        gradients.append(still_model.ner.output.weight.grad)

    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_eight_sentences_are_learnt_in_reduced_precision(
    train_tiny: Train, quick: Quick, tmp_path: Path, precision: str
) -> None:
    settings = quick(min_steps=60, batch_size=8, encoder_lr=5e-3, head_lr=1e-2, precision=precision)

    train_tiny(EIGHT_SENTENCES, settings=settings, folder=tmp_path / "v1")

    predicted = Predictor.load(tmp_path / "v1", device="cpu").predict(EIGHT_SENTENCES)
    scores = evaluate(EIGHT_SENTENCES, predicted)
    assert (scores.ner.micro.f1, scores.re.micro.f1) == (100.0, 100.0)


def test_what_safetensors_writes_beside_a_state_lies_with_what_is_swept_up(
    train_tiny: Train, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die_in_the_midst(_tensors: object, file: Path, **_more: object) -> None:
        file.with_name(".tmpAbCdEf").write_bytes(b"half")  # as safetensors does
        raise KeyboardInterrupt

    monkeypatch.setattr("annotator.training.state.save_file", die_in_the_midst)
    monkeypatch.setattr("annotator.training.state.shutil.rmtree", lambda *_a, **_b: None)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(
            EIGHT_SENTENCES, folder=tmp_path / "m" / "a", settings=quick(epochs=3, save_every_s=0.0)
        )

    (left,) = (tmp_path / "m").iterdir()
    assert left.name.startswith(".a.partial.")
    assert [file.name for file in left.iterdir()] == [".tmpAbCdEf"]
    monkeypatch.undo()

    train_tiny(EIGHT_SENTENCES, folder=tmp_path / "m" / "a", settings=quick(epochs=3))

    assert [path.name for path in (tmp_path / "m").iterdir()] == ["a"]
