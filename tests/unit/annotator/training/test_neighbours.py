"""Types of which no two entities stand side by side: learnt from the gold, kept in the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_bert import EIGHT_SENTENCES, make_tagged
from tiny_bert import TINY_SCHEMA as LABELS

from annotator.domain import TaggedSentence
from annotator.errors import ConfigError
from annotator.model import ModelConfig, Predictor
from annotator.training import TrainingResult, TrainingSettings
from annotator.training.neighbours import learn_never_adjacent

APART = make_tagged("aspirin caused rash and fever", ("Drug", 0, 0), ("Effect", 2, 2))
BESIDE = make_tagged("aspirin ibuprofen pain", ("Drug", 0, 0), ("Drug", 1, 1), ("Effect", 2, 2))


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        ([APART] * 30, ("Drug", "Effect")),
        ([APART] * 19, ()),
        ([APART] * 28 + [BESIDE], ("Effect",)),
        ([APART] * 300 + [BESIDE], ("Drug", "Effect")),
    ],
    ids=["never", "too few to tell", "sometimes", "hardly ever"],
)
def test_types_without_neighbours_are_learnt(
    sentences: list[TaggedSentence], expected: tuple[str, ...]
) -> None:
    assert learn_never_adjacent(sentences, LABELS) == expected


def test_a_model_keeps_what_it_learnt_and_joins_neighbours(
    train_tiny: Callable[..., TrainingResult],
    quick: Callable[..., TrainingSettings],
    tmp_path: Path,
) -> None:
    both = [make_tagged("new drug x9 for pain", ("Drug", 0, 2), ("Effect", 4, 4))] * 12
    split = [make_tagged("new drug x9 for pain", ("Drug", 0, 1), ("Drug", 2, 2))] * 12
    settings = quick(epochs=1)
    train_tiny([*both, *split], settings=settings, folder=tmp_path / "sometimes")
    train_tiny([*EIGHT_SENTENCES * 4], settings=settings, folder=tmp_path / "never")

    found = [Predictor.load(tmp_path / name, device="cpu").model for name in ("sometimes", "never")]

    assert [model.config.never_adjacent for model in found] == [(), ("Drug", "Effect")]
    assert [model.joined.tolist() for model in found] == [[False, False], [True, True]]


def test_a_model_from_before_joins_nothing() -> None:
    value = ModelConfig(schema=LABELS).to_json()
    del value["never_adjacent"]

    assert ModelConfig.from_json(value).never_adjacent == ()


def test_a_type_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="Gene"):
        ModelConfig(schema=LABELS, never_adjacent=("Gene",))
