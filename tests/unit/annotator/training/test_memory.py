"""Batches for which memory does not suffice. The shortage is made; what follows is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA

from annotator.errors import CancelledError, ModelError, TrainingError
from annotator.model import JointModel, ModelConfig, Predictor, load_encoder
from annotator.model.memory import in_halves, is_out_of_memory, limit_memory, peak_memory_mb
from annotator.training import TrainingProgress, TrainingResult, TrainingSettings
from annotator.training.replica import Replica
from annotator.training.run import Run, TrainingData

pytestmark = pytest.mark.slow

Train = Callable[..., TrainingResult]
Quick = Callable[..., TrainingSettings]
ERRORS = {
    "forward": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    "processor": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
}


@contextmanager
def room_for(n_sentences: int, error: Exception = ERRORS["forward"]) -> Iterator[list[int]]:
    """Let every model fail in batches of more sentences; collects the sizes of all batches."""
    sizes: list[int] = []
    real = JointModel.encode

    def encode(self: JointModel, batch: Any, **options: Any) -> Any:
        sizes.append(len(batch.word_mask))
        if sizes[-1] > n_sentences:
            raise error
        return real(self, batch, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JointModel, "encode", encode)
        yield sizes


def largest_difference(one: Path, two: Path) -> float:
    a, b = (load_file(folder / "model.safetensors") for folder in (one, two))
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_a_step_that_does_not_fit_is_cut_and_gives_the_weights_of_smaller_micro_batches(
    train_tiny: Train, quick: Quick, tmp_path: Path, error: Exception
) -> None:
    common = {"min_steps": 6, "batch_size": 8}
    train_tiny(EIGHT_SENTENCES, settings=quick(**common, accumulation=4), folder=tmp_path / "small")
    seen: list[TrainingProgress] = []

    with room_for(2, error) as sizes:
        train_tiny(
            EIGHT_SENTENCES,
            settings=quick(**common),
            folder=tmp_path / "cut",
            on_progress=seen.append,
        )

    assert largest_difference(tmp_path / "small", tmp_path / "cut") < 1e-6
    assert sizes[:3] == [8, 4, 2]
    assert max(sizes[3:]) == 2  # it does not try the large ones again
    assert {progress.n_micro for progress in seen} == {4}


def test_a_shortage_in_the_backward_pass_is_met_as_well(
    train_tiny: Train, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = {"epochs": 2, "batch_size": 8}
    train_tiny(EIGHT_SENTENCES, settings=quick(**common, accumulation=2), folder=tmp_path / "small")
    real, calls = torch.Tensor.backward, []

    def backward(self: torch.Tensor, *arguments: Any, **options: Any) -> None:
        calls.append(1)
        real(self, *arguments, **options)  # half of the gradients are there when it fails
        if len(calls) == 1:
            raise ERRORS["forward"]

    monkeypatch.setattr(torch.Tensor, "backward", backward)

    train_tiny(EIGHT_SENTENCES, settings=quick(**common), folder=tmp_path / "cut")

    assert largest_difference(tmp_path / "small", tmp_path / "cut") < 1e-6


def test_a_single_sentence_that_does_not_fit_fails_with_what_helps(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    with room_for(0), pytest.raises(TrainingError, match=r"single sentence.*gpu_memory_share"):
        train_tiny(EIGHT_SENTENCES, settings=quick(), folder=tmp_path / "a")


def test_another_error_is_not_taken_for_a_shortage(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    error = RuntimeError("CUDA error: device-side assert triggered")

    with room_for(0, error), pytest.raises(RuntimeError, match="device-side"):
        train_tiny(EIGHT_SENTENCES, settings=quick(), folder=tmp_path / "a")
    assert not is_out_of_memory(error)


def test_a_run_that_goes_on_keeps_its_small_batches(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    def stop(progress: TrainingProgress) -> None:
        if progress.step == 2:
            raise CancelledError("stop")

    settings = quick(batch_size=8, save_every_s=0)
    with room_for(2):
        train_tiny(EIGHT_SENTENCES, settings=settings, folder=tmp_path / "unbroken")
        with pytest.raises(CancelledError):
            train_tiny(EIGHT_SENTENCES, settings=settings, folder=tmp_path / "b", on_progress=stop)
    train_tiny(EIGHT_SENTENCES, settings=settings, folder=tmp_path / "b")  # memory is free again

    assert largest_difference(tmp_path / "unbroken", tmp_path / "b") == 0.0


def test_processes_agree_where_one_of_them_has_too_little(
    still_encoder: Path, quick: Quick, tmp_path: Path
) -> None:
    heard: list[float] = []

    def reduce(value: torch.Tensor) -> torch.Tensor:
        if value.numel() == 1 and not value.requires_grad:
            heard.append(float(value))
            if len(heard) == 1:
                return value + 1  # the other process fails in its first forward pass
        return value

    model = JointModel(
        load_encoder(str(still_encoder)),
        ModelConfig(schema=TINY_SCHEMA, dropout=0.0, hidden=8, width=8),
    )
    run = Run(
        model,
        TrainingData.encode(EIGHT_SENTENCES, model),
        quick(),
        folder=tmp_path / "none",
        digest="",
        replica=Replica(rank=0, n=2, reduce=reduce),
    )

    run.step(np.arange(8))

    assert heard[0] == 0.0
    assert run.n_micro == 2


def test_predictions_are_those_of_small_batches_and_large_ones_are_not_tried_again(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    train_tiny(EIGHT_SENTENCES, settings=quick(), folder=tmp_path / "a")
    predictor = Predictor.load(tmp_path / "a", device="cpu")
    expected = predictor.predict(EIGHT_SENTENCES)

    with room_for(3) as sizes:
        found = predictor.predict(EIGHT_SENTENCES)
        n_tried = len(sizes)
        predictor.predict(EIGHT_SENTENCES)

    assert [p.entities for p in found] == [p.entities for p in expected]
    assert [p.relations for p in found] == [p.relations for p in expected]
    assert sizes[0] == 8
    assert max(sizes[n_tried:]) <= 3


def test_held_out_sentences_calibrate_in_small_batches_too(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    common = {"settings": quick(batch_size=2), "dev": EIGHT_SENTENCES}
    whole = train_tiny(EIGHT_SENTENCES, folder=tmp_path / "a", **common)

    with room_for(2):
        cut = train_tiny(EIGHT_SENTENCES, folder=tmp_path / "b", **common)

    assert cut.calibration.ner_temperature == pytest.approx(
        whole.calibration.ner_temperature, rel=1e-3
    )
    assert cut.calibration.relation_temperature == pytest.approx(
        whole.calibration.relation_temperature, rel=1e-3
    )


def test_work_that_fits_in_parts_is_done_once_each() -> None:
    done: list[int] = []

    def work(items: Any) -> None:
        if len(items) > 2:
            raise ERRORS["forward"]
        done.extend(items)

    assert in_halves(list(range(7)), work, device=torch.device("cpu")) == 2
    assert done == list(range(7))


def test_work_that_fits_nowhere_says_what_helps() -> None:
    def work(_items: Any) -> None:
        raise ERRORS["forward"]

    with pytest.raises(ModelError, match="gpu_memory_share"):
        in_halves([1, 2], work, device=torch.device("cpu"))


def test_memory_of_this_process_is_told_in_mb() -> None:
    held = np.ones(2**27, dtype=np.int8)

    assert peak_memory_mb(torch.device("cpu")) > held.nbytes / 2**20


def test_a_share_of_a_gpu_is_set_on_that_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(
        torch.cuda,
        "set_per_process_memory_fraction",
        lambda share, device: set_to.append((share, device)),
    )

    limit_memory("cpu", 0.5)
    limit_memory("cuda:1", 1.0)
    limit_memory("cuda:1", 0.5)

    assert set_to == [(0.5, torch.device("cuda:1"))]
