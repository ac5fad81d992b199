from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from annotator.domain import Document, Entity, LabelSchema, Relation
from annotator.formats import WRITERS, share, staged, write_corpus, write_manifest

TEXT = "Rash after aspirin."
LARGE = [Document(id="a", text=TEXT), Document(id="b", text=TEXT * 400)]


@contextmanager
def _files_of_at_most(size_bytes: int) -> Iterator[None]:
    """The kernel refuses to write more, as on a full disk. Python must write no bytecode then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = before


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_nothing_is_left_where_the_disk_is_full(tmp_path: Path, name: str) -> None:
    with _files_of_at_most(2000), pytest.raises(OSError, match="large"):
        write_corpus(name, LARGE, tmp_path / "gold")

    assert not (tmp_path / "gold").exists()


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_earlier_export_stays_as_it_was_where_the_next_fails(tmp_path: Path, name: str) -> None:
    before = write_corpus(name, LARGE[:1], tmp_path)
    contents = {path: path.read_bytes() for path in before.files}

    with _files_of_at_most(2000), pytest.raises(OSError, match="large"):
        write_corpus(name, LARGE, tmp_path)

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == contents


def test_export_whose_list_of_issues_does_not_fit_leaves_no_text(tmp_path: Path) -> None:
    entity = Entity(id="e", type="AE", start=0, end=4)
    relations = (Relation(type=None, head="e", tail="e"),) * 100
    document = Document(id="a", text=TEXT, entities=(entity,), relations=relations)

    with _files_of_at_most(2000), pytest.raises(OSError, match="large"):
        _export(document, tmp_path / "gold")

    assert list(tmp_path.iterdir()) == []


def _export(document: Document, folder: Path) -> None:
    with staged(folder) as aside:
        report = write_corpus("brat", [document], aside)
        write_manifest(
            aside,
            report,
            name="brat",
            schema=LabelSchema.from_documents([document]),
            policy="latest",
            splits={},
            created_at=datetime.now(UTC),
            program_version="1",
        )


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".export.part" / "gold.jsonl"
    left.parent.mkdir()
    left.write_text(TEXT)

    write_corpus("jsonl", LARGE, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["gold.jsonl"]


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_files_are_their_owners_alone_unless_they_are_shared(tmp_path: Path, name: str) -> None:
    before = os.umask(0o022)
    try:
        report = write_corpus(name, LARGE, tmp_path / "gold", splits={"a": "train"})
    finally:
        os.umask(before)
    private = _modes(tmp_path / "gold")

    share(tmp_path / "gold", report.files)

    assert private == {0o600, 0o700}
    assert _modes(tmp_path / "gold") == {0o644, 0o755}


def _modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}
