"""``annotator lexicon``: taken, refused with the line, forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run, write_lines


@pytest.fixture
def terms(home: Path) -> Path:
    """Where a file goes, beside a project whose gold has brought the types Drug and Effect."""
    return home.parent / "terms.tsv"


def test_a_lexicon_is_taken_and_forgotten(home: Path, annotator: Run, terms: Path) -> None:
    terms.write_text("aspirin\tDrug\nrash\tEffect\n", encoding="utf-8")

    taken = annotator("lexicon", terms, "--home", home, "--json")
    kept = (home / "lexicon.tsv").exists()
    removed = annotator("lexicon", "--remove", "--home", home, "--json")

    assert json.loads(taken.out)["n_terms"] == 2
    assert json.loads(taken.out)["types"] == ["Drug", "Effect"]
    assert kept
    assert json.loads(removed.out) == {"removed": True}
    assert not (home / "lexicon.tsv").exists()


def test_a_wrong_lexicon_is_refused_with_its_line_and_not_taken(
    home: Path, annotator: Run, terms: Path
) -> None:
    terms.write_text("aspirin\tDrug\nrash\tSymptom\n", encoding="utf-8")

    refused = annotator("lexicon", terms, "--home", home)

    assert refused.error.startswith("terms.tsv:2: the type 'Symptom'")
    assert not (home / "lexicon.tsv").exists()


def test_an_import_takes_a_lexicon_along(
    home: Path, annotator: Run, terms: Path, tmp_path: Path
) -> None:
    terms.write_text("aspirin,Drug\n", encoding="utf-8")
    notes = write_lines(tmp_path / "pool.jsonl", {"id": "p", "text": "More aspirin."})

    annotator("import", "jsonl", notes, "--lexicon", terms, "--home", home)

    kept = (home / "lexicon.tsv").read_text(encoding="utf-8")
    assert kept == "term\ttype\naspirin\tDrug\n"
