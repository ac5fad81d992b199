"""``annotator adapt`` as people and machines call it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Outcome, Run, write_lines

from annotator.model import load_encoder

pytestmark = pytest.mark.slow

SENTENCES = [f"Quillfeather took dose {i} of aspirin and had a rash ." for i in range(30)]
QUICK = ("--steps", 3, "--device", "cpu", "--holdout", 0.2)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Unlabelled documents with nothing but id and text, packed."""
    lines = [json.dumps({"id": f"n{i}", "text": text}) for i, text in enumerate(SENTENCES)]
    path = tmp_path / "notes.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def call_program(*arguments: object, home: Path) -> Outcome:
    """Run the command line in a process of its own, in a folder without a project."""
    done = subprocess.run(
        [sys.executable, "-m", "annotator.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)


def test_the_program_adapts_an_encoder_without_a_project(
    notes: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more.jsonl"
    write_lines(more, {"id": "n0", "text": "Fever was treated with ibuprofen after the rash ."})
    out = tmp_path / "encoders" / "ward"

    done = call_program(
        "adapt", notes, more, "--out", out, "--encoder", tiny_encoder, *QUICK, "--json",
        home=tmp_path,
    )  # fmt: skip

    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["n_sentences"], result["n_held_out"], result["n_steps"]) == (25, 6, 3)
    assert result["loss_after"] > 0
    assert load_encoder(str(out)).width == 32
    card = (out / "README.md").read_text("utf-8")
    assert hashlib.sha256(notes.read_bytes()).hexdigest() in card
    assert "| more.jsonl | jsonl | 1 | 1 |" in card
    assert "Quillfeather" not in card + done.out + done.err


def test_people_are_told_the_losses_and_how_to_use_the_encoder(
    annotator: Run, notes: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    done = annotator("adapt", notes, "--out", tmp_path / "new", "--encoder", tiny_encoder, *QUICK)

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "24 sentences in 3 steps" in lines[0]
    assert lines[1].startswith("loss on 6 sentences held out: ")
    assert "annotator.toml" in lines[2]


def test_a_folder_of_text_files_is_read_and_hashed(
    annotator: Run, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in zip(("a.txt", "b.txt"), SENTENCES, strict=False):
        (folder / name).write_text(text, encoding="utf-8")

    done = annotator(
        "adapt", folder, "--format", "text", "--out", tmp_path / "new",
        "--encoder", tiny_encoder, *QUICK,
    )  # fmt: skip

    assert done.code == 0, done.err
    lines = [f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n"
             for name in ("a.txt", "b.txt")]  # fmt: skip
    whole = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert f"| texts | text | 2 | 2 | `{whole}` |" in (tmp_path / "new" / "README.md").read_text()


def test_both_kinds_of_ade_file_are_read(
    annotator: Run, shared_data: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    head = (shared_data / "ade" / "ADE-NEG.txt").read_text("utf-8").splitlines(keepends=True)[:50]
    negatives = tmp_path / "ADE-NEG.txt"
    negatives.write_text("".join(head), encoding="utf-8")

    done = annotator(
        "adapt", shared_data / "ade" / "DRUG-AE.rel", negatives, "--format", "ade",
        "--out", tmp_path / "new", "--encoder", tiny_encoder, *QUICK, "--json",
    )  # fmt: skip

    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert 4_000 < result["n_sentences"] + result["n_held_out"] < 4_500


def test_text_without_a_sentence_is_an_error(
    annotator: Run, tiny_encoder: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()

    done = annotator("adapt", empty, "--out", tmp_path / "new", "--encoder", tiny_encoder)

    assert "empty.jsonl holds no document" in done.error
    assert not (tmp_path / "new").exists()


def test_a_missing_file_is_an_error(annotator: Run, tmp_path: Path) -> None:
    done = annotator("adapt", tmp_path / "absent.jsonl", "--out", tmp_path / "new")

    assert "absent.jsonl" in done.error


def test_two_limits_at_once_are_wrong_use(annotator: Run, notes: Path, tmp_path: Path) -> None:
    done = annotator(
        "adapt", notes, "--out", tmp_path / "new", "--epochs", 2, "--minutes", 5
    )  # fmt: skip

    assert done.code == 2
    assert "--minutes" in done.err
