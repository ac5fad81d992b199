from __future__ import annotations

import numpy as np
import pytest

from annotator.training import TrainingSettings
from annotator.training.schedule import plan_epoch, plan_schedule


@pytest.fixture
def costs(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(3, 200, size=100)


def test_epoch_holds_every_sentence_once_within_the_budget(costs: np.ndarray) -> None:
    settings = TrainingSettings(batch_size=8, max_batch_pieces=600)

    batches = plan_epoch(costs, settings, epoch=0)

    assert sorted(np.concatenate(batches).tolist()) == list(range(100))
    assert max(len(batch) for batch in batches) <= 8
    assert max(len(batch) * costs[batch].max() for batch in batches) <= 600


def test_epochs_differ_and_come_out_the_same_again(costs: np.ndarray) -> None:
    settings = TrainingSettings(seed=3)

    first, again, second = (
        np.concatenate(plan_epoch(costs, settings, epoch=epoch)).tolist() for epoch in (0, 0, 1)
    )

    assert first == again
    assert first != second


def test_batches_hold_sentences_of_like_length(costs: np.ndarray) -> None:
    batches = plan_epoch(costs, TrainingSettings(batch_size=10), epoch=0)

    padded = sum(len(batch) * int(costs[batch].max()) for batch in batches)
    assert padded < 1.5 * costs.sum()


def test_few_sentences_are_repeated_until_the_floor_of_steps() -> None:
    schedule = plan_schedule(np.full(32, 10), TrainingSettings(epochs=2, min_steps=50))

    assert len(schedule.epoch_steps) == 25
    assert schedule.n_steps == 50
    assert schedule.n_ramp == 25


def test_relation_loss_fades_in_over_the_first_epoch() -> None:
    schedule = plan_schedule(np.full(64, 10), TrainingSettings(epochs=5, min_steps=0))

    weights = [schedule.relation_weight(step) for step in range(6)]

    assert weights == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_relation_loss_counts_at_once_without_entity_pretraining() -> None:
    settings = TrainingSettings(epochs=5, min_steps=0, entity_pretraining=False)

    assert plan_schedule(np.full(64, 10), settings).relation_weight(0) == 1.0


def test_rates_rise_then_fall_to_nothing() -> None:
    schedule = plan_schedule(np.full(160, 10), TrainingSettings(epochs=10, min_steps=0))

    factors = np.array([schedule.rate_factor(step) for step in range(schedule.n_steps)])

    assert (np.diff(factors[: schedule.n_warmup]) > 0).all()
    assert (np.diff(factors[schedule.n_warmup :]) < 0).all()
    assert factors.max() == 1.0
    assert factors[-1] == pytest.approx(1 / (schedule.n_steps - schedule.n_warmup))
