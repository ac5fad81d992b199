"""``annotator bench``: needs no project, prints one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import GOLD, Run, write_lines


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Enough labelled sentences to measure with."""
    return write_lines(tmp_path / "notes.jsonl", *({**GOLD, "id": f"d{i}"} for i in range(60)))


def test_bench_model_prints_its_ratios_without_a_project(
    annotator: Run, notes: Path, tiny_encoder: Path
) -> None:
    options = ("--encoder", tiny_encoder, "--sentences", 20, "--rounds", 1, "--device", "cpu")

    ended = annotator("bench", "model", "--data", notes, *options, "--json")

    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["command"].startswith("annotator bench model --data")
    assert {"score_vs_encoder", "train_vs_encoder", "reduced_vs_fp32", "reduced_f1_change"} <= set(
        found
    )


def test_bench_model_prints_lines_for_people(
    annotator: Run, notes: Path, tiny_encoder: Path
) -> None:
    options = ("--encoder", tiny_encoder, "--sentences", 20, "--rounds", 1, "--device", "cpu")

    ended = annotator("bench", "model", "--data", notes, *options)

    assert "scoring over bare encoder" in ended.out


def test_bench_model_refuses_documents_without_enough_sentences(
    annotator: Run, tmp_path: Path, tiny_encoder: Path
) -> None:
    few = write_lines(tmp_path / "few.jsonl", GOLD)

    ended = annotator("bench", "model", "--data", few, "--encoder", tiny_encoder)

    assert "too few" in ended.error


@pytest.fixture(scope="module")
def backend_bench(tiny_encoder: Path) -> dict[str, Any]:
    """A short measurement of a backend and a worker of its own."""
    options = ["--encoder", str(tiny_encoder), "--sentences=30", "--rate=20", "--seconds=2"]

    ended = subprocess.run(
        [sys.executable, "-m", "annotator.cli.main", "bench", "backend", *options, "--json"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(300)  # whichever comes first waits for the measurement
def test_bench_backend_loses_no_event_and_the_worker_does_them_all(
    backend_bench: dict[str, Any],
) -> None:
    assert backend_bench["webhook"]["n"] == 40
    assert (backend_bench["webhook_lost"], backend_bench["webhook_worked_off"]) == (0, 40)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "which",
    ["cached", "interactive", "health_beside_training", "setup_beside_training", "webhook"],
)
def test_bench_backend_is_answered_every_time(backend_bench: dict[str, Any], which: str) -> None:
    found = backend_bench[which]

    assert found["n_failed"] == 0
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]


@pytest.mark.ray
@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_bench_engine_compares_one_worker_with_two(annotator: Run, tiny_encoder: Path) -> None:
    options = ("--encoder", tiny_encoder, "--sentences", 3073, "--steps", 5, "--rounds", 1)

    ended = annotator("bench", "engine", *options, "--json")

    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["n_sentences"] == 3073
    ratios = {name: value for name, value in found.items() if "_vs_" in name}
    assert len(ratios) == 5
    assert all(value > 0 for value in ratios.values())
