from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from annotator.domain import Document, Entity, LabelSchema
from annotator.errors import InputError
from annotator.formats import write_corpus, write_manifest

DOCUMENT = Document(
    id="d",
    text="drug A",
    entities=(
        Entity(id="x", type="Drug", start=0, end=6),
        Entity(id="y", type="Drug", start=0, end=4),
    ),
)


def _write(folder: Path, created_at: datetime) -> dict[str, object]:
    report = write_corpus("bioes", [DOCUMENT], folder)
    manifest, _ = write_manifest(
        folder,
        report,
        name="bioes",
        schema=LabelSchema.from_documents([DOCUMENT]),
        policy="latest",
        splits={"d": "train"},
        created_at=created_at,
        program_version="1.2.3",
    )
    value: dict[str, object] = json.loads(manifest.read_text(encoding="utf-8"))
    return value


def test_manifest_says_what_the_export_holds(tmp_path: Path) -> None:
    value = _write(tmp_path, datetime(2026, 1, 2, tzinfo=UTC))
    content = (tmp_path / "gold.tsv").read_bytes()

    assert value["created_at"] == "2026-01-02T00:00:00+00:00"
    assert value["counts"] == {
        **{"documents": 1, "sentences": 1, "entities": 1, "relations": 0, "issues": 1},
    }
    assert value["splits"] == {"d": "train"}
    assert value["files"]["gold.tsv"] == {  # type: ignore[index]
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }


def test_alignment_has_a_line_an_issue(tmp_path: Path) -> None:
    _write(tmp_path, datetime(2026, 1, 2, tzinfo=UTC))

    text = (tmp_path / "alignment.json").read_text(encoding="utf-8")

    assert [issue["kind"] for issue in json.loads(text)] == ["overlap"]
    assert len(text.splitlines()) == 3


def test_time_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="time zone"):
        _write(tmp_path, datetime(2026, 1, 2))
