"""A disk that is full in the midst of an import or an export."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import make_document
from services_here import missing

from annotator.formats import write_corpus
from annotator.settings import init_home, load_settings
from annotator.store.database import Database
from annotator.store.documents import count_documents
from annotator.store.gold import count_gold
from annotator.store.projects import ensure_project, get_project

pytestmark = pytest.mark.slow

N_DOCUMENTS = 1200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 4 MB."""
    if os.geteuid() != 0:
        missing("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        missing("this machine lets nobody mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_an_import_onto_a_full_disk_fails_in_one_line_and_loses_nothing(
    small_disk: Path, tmp_path: Path
) -> None:
    home = small_disk / "home"
    make_project(home)
    notes = [make_document(f"n{i}", entities=()) for i in range(N_DOCUMENTS)]
    write_corpus("jsonl", notes, tmp_path / "corpus")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 3_200_000)

    failed = import_gold(home, tmp_path / "corpus" / "gold.jsonl")

    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith("annotator: error: ")
    assert "disk" in line

    ballast.unlink()
    before = count(home)
    assert before % 200 == 0  # whole chunks
    again = import_gold(home, tmp_path / "corpus" / "gold.jsonl")
    assert (again.returncode, count(home)) == (0, N_DOCUMENTS)


def test_an_export_onto_a_full_disk_fails_in_one_line_and_leaves_nothing(
    small_disk: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    make_project(home)
    notes = [make_document(f"n{i}") for i in range(N_DOCUMENTS)]
    write_corpus("jsonl", notes, tmp_path / "corpus")
    assert import_gold(home, tmp_path / "corpus" / "gold.jsonl").returncode == 0
    (small_disk / "ballast").write_bytes(b"\0" * 4_000_000)

    failed = run("export", "--format", "jsonl", "--out", str(small_disk / "gold"), home=home)

    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert "disk space" in line
    assert [path.name for path in small_disk.rglob("*")] == ["ballast"]


def make_project(home: Path) -> None:
    init_home(home, project="ward", unit="sentence", encoder="minilm")
    database = Database(load_settings(home).database)
    database.upgrade()
    with database.write() as session:
        ensure_project(session, name="ward", unit="sentence")
    database.close()


def import_gold(home: Path, file: Path) -> subprocess.CompletedProcess[str]:
    return run("import", "jsonl", str(file), "--as", "gold", "--empty-is-gold", home=home)


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "annotator.cli.main", *arguments, "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )


def count(home: Path) -> int:
    database = Database(load_settings(home).database)
    with database.read() as session:
        project = get_project(session, "ward")
        documents = count_documents(session, project.id)
        gold = count_gold(session, project.id)
    database.close()
    assert sum(documents.values()) == gold["train"] + gold["holdout"]
    return sum(documents.values())
