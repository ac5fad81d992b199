from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA

from annotator.errors import CancelledError, TrainingError
from annotator.training import TrainingProgress, TrainingResult, TrainingSettings
from annotator.training.launch import train_together

pytestmark = pytest.mark.slow

Train = Callable[..., TrainingResult]
Quick = Callable[..., TrainingSettings]

NO_DROPOUT = {"dropout": 0.0, "hidden": 32, "width": 16, "label_embedding": 8}


def test_two_processes_give_the_weights_of_one(
    train_tiny: Train, quick: Quick, still_encoder: Path, tmp_path: Path
) -> None:
    settings = quick(epochs=3, batch_size=3, precision="fp32")
    common = {"encoder": str(still_encoder), "options": NO_DROPOUT, "settings": settings}

    train_tiny(EIGHT_SENTENCES, folder=tmp_path / "one", **common)
    result = train_together(
        EIGHT_SENTENCES, n_processes=2, schema=TINY_SCHEMA, folder=tmp_path / "two", **common
    )

    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert result.n_steps == 9
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5


def test_a_process_that_fails_says_why(quick: Quick, tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="label and submit"):
        train_together(
            (),
            n_processes=2,
            schema=TINY_SCHEMA,
            encoder=str(tiny_encoder),
            settings=quick(),
            folder=tmp_path / "a",
        )


def test_progress_that_raises_stops_all(quick: Quick, tiny_encoder: Path, tmp_path: Path) -> None:
    def cancel(progress: TrainingProgress) -> None:
        raise CancelledError(f"stopped in step {progress.step}")

    with pytest.raises(CancelledError, match="step 1"):
        train_together(
            EIGHT_SENTENCES,
            n_processes=2,
            schema=TINY_SCHEMA,
            encoder=str(tiny_encoder),
            settings=quick(),
            folder=tmp_path / "a",
            on_progress=cancel,
        )

    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_more_processes_than_gpus_are_refused(quick: Quick, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="0 GPUs"):
        train_together(
            EIGHT_SENTENCES,
            n_processes=2,
            device="cuda",
            schema=TINY_SCHEMA,
            encoder="minilm",
            settings=quick(),
            folder=tmp_path / "a",
        )


def test_a_device_that_takes_one_process_is_refused_to_several(
    quick: Quick, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="set processes to 1"):
        train_together(
            EIGHT_SENTENCES,
            n_processes=2,
            device="mps",
            schema=TINY_SCHEMA,
            encoder="minilm",
            settings=quick(),
            folder=tmp_path / "a",
        )


@pytest.mark.slow
def test_no_process_outlives_the_one_that_started_them(tiny_encoder: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PARENT, encoding="utf-8")
    here = str(Path(__file__).resolve().parents[3])
    parent = subprocess.Popen(
        [sys.executable, str(program), str(tiny_encoder), str(tmp_path / "a")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])},
        start_new_session=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        first = parent.stdout.readline()
        parent.kill()
        parent.wait()

    assert first == "step 1\n"
    deadline = time.monotonic() + 60
    while _is_anyone_in(parent.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_anyone_in(parent.pid)


_PARENT = """
import sys
from pathlib import Path

from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA

from annotator.training import TrainingSettings
from annotator.training.launch import train_together

if __name__ == "__main__":
    train_together(
        EIGHT_SENTENCES,
        n_processes=2,
        schema=TINY_SCHEMA,
        encoder=sys.argv[1],
        settings=TrainingSettings(epochs=100_000, min_steps=0, batch_size=4),
        folder=Path(sys.argv[2]),
        on_progress=lambda p: print(f"step {p.step}", flush=True) if p.step == 1 else None,
    )
"""


def _is_anyone_in(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
