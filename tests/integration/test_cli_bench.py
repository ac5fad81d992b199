"""``annotator bench``: needs no project, prints one JSON object."""

from __future__ import annotations

import json
from pathlib import Path

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
