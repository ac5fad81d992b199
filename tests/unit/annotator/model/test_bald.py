"""Disagreement of the heads under dropout."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from annotator.model import Predictor
from annotator.model.bald import _Disagreement
from annotator.model.joint import JointModel


@pytest.fixture
def joint_model(build_model: Callable[..., JointModel]) -> JointModel:
    """A random model."""
    return build_model()


SENTENCES = [["aspirin", "caused", "a", "rash"], ["fever"], [], ["no", "fever", "now"]]


def test_passes_that_agree_do_not_disagree_however_unsure_they_are() -> None:
    tally = _Disagreement()
    for _ in range(4):
        tally.add(torch.full((1, 3, 5), 0.2).log())

    assert tally.result().tolist() == [[0.0, 0.0, 0.0]]


def test_passes_that_are_sure_of_different_tags_disagree_most() -> None:
    tally = _Disagreement()
    for tag in (0, 1):
        probs = torch.full((1, 1, 2), 1e-9)
        probs[0, 0, tag] = 1.0
        tally.add(probs.log())

    assert tally.result().tolist() == [[pytest.approx(math.log(2), abs=1e-5)]]


def test_the_signal_is_there_only_where_it_was_asked_for(joint_model: JointModel) -> None:
    plain = Predictor(joint_model).predict(SENTENCES)
    asked = Predictor(joint_model, bald_passes=5).predict(SENTENCES)

    assert all("bald" not in one.signals for one in plain)
    assert all(one.signals["bald"] >= 0.0 for one in asked)
    assert asked[2].signals["bald"] == 0.0
    assert asked[0].signals["bald"] > 0.0


def test_asking_changes_nothing_else(joint_model: JointModel) -> None:
    state = torch.get_rng_state()
    plain = Predictor(joint_model).predict(SENTENCES)
    asked = Predictor(joint_model, bald_passes=5).predict(SENTENCES)

    assert [one.entities for one in asked] == [one.entities for one in plain]
    assert [one.relations for one in asked] == [one.relations for one in plain]
    assert [{k: v for k, v in one.signals.items() if k != "bald"} for one in asked] == [
        dict(one.signals) for one in plain
    ]
    assert not any(module.training for module in joint_model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_batch_gets_the_same_scores(joint_model: JointModel) -> None:
    predictor = Predictor(joint_model, bald_passes=3)

    first, again = ([one.signals["bald"] for one in predictor.predict(SENTENCES)] for _ in range(2))

    assert first == again


def test_without_dropout_nothing_disagrees(joint_model: JointModel) -> None:
    for module in joint_model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

    found = Predictor(joint_model, bald_passes=3).predict(SENTENCES)

    assert [one.signals["bald"] for one in found] == pytest.approx([0.0] * 4, abs=1e-6)
