from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA, make_tagged

from annotator.errors import CancelledError, ConfigError, ModelError, TrainingError
from annotator.model import JointModel, ModelConfig, load_encoder, save_checkpoint
from annotator.training import (
    AdaptationProgress,
    AdaptationResult,
    AdaptationSettings,
    TextSource,
    TrainingResult,
    adapt,
)
from annotator.training.state import state_path

pytestmark = pytest.mark.slow

Adapt = Callable[..., AdaptationResult]
FEW = 6  # steps


class Watcher:
    """Keeps what a run tells, and stops it after a number of steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.seen: list[AdaptationProgress] = []
        self._stop_after = stop_after

    def __call__(self, progress: AdaptationProgress) -> None:
        self.seen.append(progress)
        if progress.step == self._stop_after:
            raise CancelledError("stop")


@pytest.fixture
def adapt_tiny(tiny_encoder: Path) -> Adapt:
    """Adapts the tiny encoder to eight sentences; other keywords are settings."""

    def run(
        sentences: Any = EIGHT_SENTENCES,
        *,
        folder: Path,
        encoder: str | Path = tiny_encoder,
        on_progress: Any = None,
        sources: Any = (),
        **settings: Any,
    ) -> AdaptationResult:
        given = {"steps": FEW, "batch_pieces": 48, "save_every_s": 0, **settings}
        return adapt(
            sentences,
            encoder=str(encoder),
            settings=AdaptationSettings(**given),
            folder=folder,
            on_progress=on_progress,
            sources=sources,
        )

    return run


def test_loss_falls_on_a_small_text(adapt_tiny: Adapt, tmp_path: Path) -> None:
    watcher = Watcher()

    adapt_tiny(
        folder=tmp_path / "new",
        steps=250,
        encoder_lr=3e-3,
        head_lr=1e-2,
        save_every_s=99,
        on_progress=watcher,
    )

    assert watcher.seen[-1].loss < 0.6 * watcher.seen[0].loss


def test_held_out_loss_falls_where_text_follows_a_pattern(
    adapt_tiny: Adapt, tmp_path: Path, rng: np.random.Generator
) -> None:
    names = [f"x{i}" for i in range(60)]
    sentences = [make_tagged(f"the patient {name} was treated with aspirin .") for name in names]

    result = adapt_tiny(
        sentences,
        folder=tmp_path / "new",
        steps=120,
        holdout=0.2,
        encoder_lr=3e-3,
        head_lr=1e-2,
        batch_pieces=512,
        save_every_s=99,
    )

    assert (result.n_sentences, result.n_held_out) == (48, 12)
    assert result.loss_after < 0.7 * result.loss_before


def test_same_seed_gives_the_same_weights(adapt_tiny: Adapt, tmp_path: Path) -> None:
    first, again, other = (
        adapt_tiny(folder=tmp_path / name, seed=seed).weights_sha256
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )

    assert first == again
    assert first != other


@pytest.mark.parametrize("after", [1, 4], ids=["head only", "all"])
def test_interrupted_run_ends_with_the_weights_of_an_unbroken_one(
    adapt_tiny: Adapt, tmp_path: Path, after: int
) -> None:
    settings = {"holdout": 0.3, "head_share": 0.4}
    unbroken = adapt_tiny(folder=tmp_path / "a", **settings)
    with pytest.raises(CancelledError):
        adapt_tiny(folder=tmp_path / "b", **settings, on_progress=Watcher(stop_after=after))

    resumed = adapt_tiny(folder=tmp_path / "b", **settings)

    assert resumed.resumed_from == after
    assert resumed.weights_sha256 == unbroken.weights_sha256
    assert (resumed.loss_before, resumed.loss_after) == (unbroken.loss_before, unbroken.loss_after)
    assert not state_path(tmp_path / "b").exists()


def test_a_run_over_other_text_does_not_go_on_from_the_old_state(
    adapt_tiny: Adapt, tmp_path: Path
) -> None:
    with pytest.raises(CancelledError):
        adapt_tiny(folder=tmp_path / "a", on_progress=Watcher(stop_after=3))

    result = adapt_tiny(EIGHT_SENTENCES[:5], folder=tmp_path / "a")

    assert result.resumed_from == 0


def test_an_adapted_encoder_loads_and_differs_in_all_its_layers(
    adapt_tiny: Adapt, tiny_encoder: Path, tmp_path: Path
) -> None:
    adapt_tiny(folder=tmp_path / "new")

    before = load_encoder(str(tiny_encoder)).network.state_dict()
    after = load_encoder(str(tmp_path / "new")).network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert {name for name in before if name.endswith("dense.weight")} <= changed


def test_a_joint_model_trains_from_an_adapted_encoder(
    adapt_tiny: Adapt, train_tiny: Callable[..., TrainingResult], quick: Any, tmp_path: Path
) -> None:
    adapt_tiny(folder=tmp_path / "new")

    result = train_tiny(
        EIGHT_SENTENCES, settings=quick(), folder=tmp_path / "v1", encoder=str(tmp_path / "new")
    )

    assert result.n_steps > 0


def test_only_the_head_changes_in_its_share_of_the_run(
    adapt_tiny: Adapt, tiny_encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CancelledError):
        adapt_tiny(folder=tmp_path / "a", head_share=0.5, on_progress=Watcher(stop_after=3))

    state = load_file(state_path(tmp_path / "a"))
    network = load_encoder(str(tiny_encoder)).network.state_dict()
    assert all(
        torch.equal(state[f"model.full.bert.{name}"], value) for name, value in network.items()
    )
    assert state["model.full.cls.predictions.transform.dense.bias"].any()


def test_adapting_further_goes_on_with_the_head(adapt_tiny: Adapt, tmp_path: Path) -> None:
    first = adapt_tiny(folder=tmp_path / "a", holdout=0.3)

    further = adapt_tiny(folder=tmp_path / "b", encoder=tmp_path / "a", holdout=0.3)

    assert (first.fresh_head, further.fresh_head) == (True, False)
    assert further.loss_before == pytest.approx(first.loss_after, rel=1e-5)


def test_a_limit_in_minutes_ends_the_run(adapt_tiny: Adapt, tmp_path: Path) -> None:
    watcher = Watcher()

    result = adapt_tiny(
        folder=tmp_path / "new", steps=None, minutes=0.01, save_every_s=9, on_progress=watcher
    )

    assert 0.6 <= result.train_s < 5
    assert watcher.seen[-1].n_steps is None
    assert watcher.seen[-1].share == 1.0


def test_epochs_are_counted_in_steps_beforehand(adapt_tiny: Adapt, tmp_path: Path) -> None:
    watcher = Watcher()

    result = adapt_tiny(
        folder=tmp_path / "new", steps=None, epochs=2, batch_pieces=10_000, on_progress=watcher
    )

    assert [progress.n_steps for progress in watcher.seen] == [2, 2]
    assert watcher.seen[-1].remaining_s == 0.0
    assert result.n_words == 2 * sum(len(s.words) for s in EIGHT_SENTENCES if len(s.words) >= 4)


def test_repeated_and_short_sentences_are_passed_over(adapt_tiny: Adapt, tmp_path: Path) -> None:
    result = adapt_tiny([*EIGHT_SENTENCES, *EIGHT_SENTENCES], folder=tmp_path / "new")

    assert (result.n_sentences, result.n_left_out) == (7, 9)


@pytest.mark.parametrize(
    "sentences",
    [
        pytest.param([], id="nothing"),
        pytest.param([make_tagged(""), make_tagged("rash")], id="short"),
        pytest.param([make_tagged("😀 😀 😀 😀")], id="unknown pieces only"),
    ],
)
def test_text_with_nothing_to_learn_from_is_refused(
    adapt_tiny: Adapt, tmp_path: Path, sentences: Any
) -> None:
    with pytest.raises(TrainingError, match="no text to adapt to"):
        adapt_tiny(sentences, folder=tmp_path / "new")

    assert not (tmp_path / "new").exists()


def test_a_loss_that_is_not_finite_stops_with_the_ids_of_the_batch(
    adapt_tiny: Adapt, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"in step \d+, at sentences .*s\d") as caught:
        adapt_tiny(folder=tmp_path / "new", encoder_lr=1e30, head_lr=1e30, steps=20)

    assert "aspirin" not in str(caught.value)


def test_global_randomness_is_left_as_it_was(adapt_tiny: Adapt, tmp_path: Path) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()

    adapt_tiny(folder=tmp_path / "new")

    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_bf16_learns_much_the_same_as_fp32(adapt_tiny: Adapt, tmp_path: Path) -> None:
    losses = [
        adapt_tiny(folder=tmp_path / name, precision=name, holdout=0.3).loss_after
        for name in ("fp32", "bf16")
    ]

    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_a_folder_that_holds_something_else_is_not_replaced(
    adapt_tiny: Adapt, tiny_encoder: Path, tmp_path: Path
) -> None:
    model = JointModel(load_encoder(str(tiny_encoder)), ModelConfig(schema=TINY_SCHEMA))
    save_checkpoint(model, tmp_path / "v1")
    before = sorted(path.name for path in (tmp_path / "v1").iterdir())

    with pytest.raises(ConfigError, match="would be replaced"):
        adapt_tiny(folder=tmp_path / "v1")

    assert sorted(path.name for path in (tmp_path / "v1").iterdir()) == before


def test_an_older_adapted_encoder_is_replaced(adapt_tiny: Adapt, tmp_path: Path) -> None:
    old = adapt_tiny(folder=tmp_path / "new")

    new = adapt_tiny(folder=tmp_path / "new", seed=9)

    assert new.weights_sha256 != old.weights_sha256
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_the_card_tells_files_settings_and_losses_but_no_text(
    adapt_tiny: Adapt, tmp_path: Path
) -> None:
    source = TextSource(
        name="notes.jsonl", format="jsonl", sha256="ab" * 32, n_documents=3, n_sentences=8
    )

    result = adapt_tiny(folder=tmp_path / "new", holdout=0.3, sources=[source])

    card = (tmp_path / "new" / "README.md").read_text("utf-8")
    assert f"| notes.jsonl | jsonl | 3 | 8 | `{'ab' * 32}` |" in card
    assert f"| after | {result.loss_after:.3f} | {result.perplexity_after:.1f} |" in card
    assert result.base_sha256 in card
    assert '"mask": 0.15' in card
    assert "aspirin" not in card


def test_the_card_says_that_nothing_was_held_out(adapt_tiny: Adapt, tmp_path: Path) -> None:
    result = adapt_tiny(folder=tmp_path / "new", holdout=0.0)

    assert "nothing was measured" in (tmp_path / "new" / "README.md").read_text("utf-8")
    assert json.loads(json.dumps(result.to_json()))["loss_after"] is None


def test_an_encoder_that_cannot_be_loaded_is_an_error(adapt_tiny: Adapt, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        adapt_tiny(folder=tmp_path / "new", encoder=tmp_path / "absent")


@pytest.mark.parametrize(
    ("share", "head", "encoder"),
    [(0.0, 1.0, 0.0), (0.05, 1.0, 0.0), (0.1, 1.0, 0.0), (0.2, 8 / 9, 0.5), (0.3, 7 / 9, 1.0),
     (0.65, 35 / 90, 0.5), (1.0, 0.0, 0.0)],
)  # fmt: skip
def test_rates_rise_and_fall_after_the_share_of_the_head(
    share: float, head: float, encoder: float
) -> None:
    factor = partial(AdaptationSettings(warmup=0.2).rate_factor, share, head_share=0.1)

    assert factor(is_head=True) == pytest.approx(head)
    assert factor(is_head=False) == pytest.approx(encoder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"steps": 0},
        {"minutes": 0.0},
        {"minutes": float("nan")},
        {"steps": 3, "minutes": 1.0},
        {"mask": 0.0},
        {"mask": 1.0},
        {"holdout": 1.0},
        {"warmup": 0.96},
        {"warmup": -0.1},
        {"encoder_lr": -1.0},
        {"max_grad_norm": 0.0},
        {"precision": "fp16"},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        AdaptationSettings(**wrong)
