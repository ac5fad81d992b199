"""``annotator import`` at the command line: what is said first, exit codes, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import GOLD, Run, write_lines

pytestmark = pytest.mark.slow

TEXT = {"id": "bare", "text": "Nothing of note was found in this patient."}
TYPO = {**GOLD, "id": "typo", "entities": [{**GOLD["entities"][0], "type": "Durg"}]} | {
    "relations": []
}
MORE = {**GOLD, "id": "copy"}


@pytest.mark.parametrize(
    ("role", "lines", "reason"),
    [
        ("holdout", [GOLD], "not taken into the hold-out, nor their labels"),
        ("gold", [{**GOLD, "entities": [], "relations": []}, MORE], "--replace empties it"),
    ],
    ids=["trained on", "emptied"],
)
def test_what_was_not_done_as_asked_is_an_error_with_its_remedy(
    annotator: Run, home: Path, tmp_path: Path, role: str, lines: list[object], reason: str
) -> None:
    file = write_lines(tmp_path / "again.jsonl", *lines)

    outcome = annotator("import", "jsonl", file, "--as", role, "--home", home)

    assert outcome.code == 1
    assert reason in outcome.err
    assert f": {GOLD['id']} (" in outcome.err


@pytest.mark.parametrize(
    ("line", "options", "reason"),
    [
        (TEXT, (), "--empty-is-gold"),
        (TYPO, ("--strict",), "Durg (1 labels, like the known"),
    ],
    ids=["no labels", "a typo"],
)
def test_what_is_refused_stores_nothing(
    annotator: Run,
    home: Path,
    tmp_path: Path,
    line: dict[str, object],
    options: tuple[str, ...],
    reason: str,
) -> None:
    file = write_lines(tmp_path / "odd.jsonl", line)

    outcome = annotator("import", "jsonl", file, "--as", "gold", *options, "--home", home)

    assert outcome.code == 1
    assert reason in outcome.error
    assert len(json.loads(annotator("import", "--home", home, "--json").out)["imports"]) == 1


def test_an_import_says_how_to_undo_it_and_is_listed(
    annotator: Run, home: Path, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "typo.jsonl", TYPO)

    told = annotator("import", "jsonl", file, "--as", "gold", "--home", home)
    number = told.out.rsplit(" ", 1)[1].strip()
    undone = annotator("import", "--undo", "LAST", "--home", home)
    listed = annotator("import", "--home", home)

    assert told.code == 0
    assert "types that the project did not know: Durg" in told.out
    assert f"annotator import --undo {number}" in told.out
    assert f"import {number} is undone" in undone.out
    assert [line.endswith("(undone)") for line in listed.out.splitlines()[:2]] == [True, False]
    assert annotator("import", "--undo", number, "--home", home).code == 1
    assert annotator("import", "--undo", "first", "--home", home).code == 1


def test_labels_that_could_not_be_read_are_what_is_said_first(
    annotator: Run, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "brat"
    folder.mkdir()
    for name, end in (("whole", 7), ("part", 99)):
        (folder / f"{name}.txt").write_text("Codeine helped her.", encoding="utf-8")
        (folder / f"{name}.ann").write_text(f"T1\tDrug 0 {end}\tCodeine\n", encoding="utf-8")

    outcome = annotator("import", "brat", folder, "--as", "gold", "--home", home)

    assert outcome.code == 0, outcome.err
    first = outcome.out.splitlines()[0]
    assert first.startswith("warning: taken as pool, without labels, since some could not be read")
    assert first.endswith(": part")


def test_a_line_that_cannot_be_read_costs_itself_alone_unless_strict(
    annotator: Run, home: Path, tmp_path: Path
) -> None:
    more = {**GOLD, "id": "more", "text": GOLD["text"].replace("aspirin", "codeine")}
    file = write_lines(tmp_path / "cut.jsonl", more)
    file.write_text('{"id": "cut", "te\n' + file.read_text(encoding="utf-8"), encoding="utf-8")

    refused = annotator("import", "jsonl", file, "--as", "gold", "--strict", "--home", home)
    taken = annotator("import", "jsonl", file, "--as", "gold", "--home", home)

    assert refused.code == 1
    assert refused.error.startswith("cut.jsonl:1: not whole JSON at column ")
    assert taken.code == 0, taken.err
    assert "1 document with" in taken.out
    assert "left out: cut.jsonl:1: not whole JSON" in taken.out


def test_labels_that_cannot_be_learnt_are_told_at_import_and_refused_to_a_run(
    annotator: Run, tmp_path: Path
) -> None:
    home = tmp_path / "ward"
    annotator("init", "--home", home)
    text = "患者服用阿司匹林后出现皮疹"
    spans = [("a", "Drug", 4, 8), ("b", "Effect", 11, 13)]
    entities = [{"id": i, "type": t, "start": s, "end": e} for i, t, s, e in spans]
    file = write_lines(tmp_path / "zh.jsonl", {"id": "n", "text": text, "entities": entities})

    told = annotator(
        *("import", "jsonl", file, "--as", "gold", "--holdout-share", 0, "--home", home)
    )
    status = annotator("status", "--home", home)
    run = annotator("retrain", "--wait", "--home", home)

    why = "2 of 2 labels cannot be learnt: 2 for a cut inside a word"
    assert f"warning: {why}" in told.out
    assert "2 of 2 labels: 2 for a cut inside a word" in status.out
    assert run.code == 1
    assert "none of the 2 labels can be learnt" in run.out
