from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotator.errors import InputError
from annotator.formats import read_corpus

TEXT = "Rash after aspirin."
FOREIGN: dict[str, tuple[str, dict[str, Any]]] = {
    "label": ("doccano", {"label": [[0, 4, "AE"]], "Comments": []}),
    "labels": ("doccano", {"labels": [[0, 4, "AE"]]}),
    "objects": (
        "doccano",
        {"entities": [{"id": 1, "label": "AE", "start_offset": 0, "end_offset": 4}]},
    ),
    "relations": (
        "doccano",
        {"relations": [{"id": 1, "from_id": 1, "to_id": 2, "type": "causes"}]},
    ),
    "spans": ("Prodigy", {"spans": [{"start": 0, "end": 4, "label": "AE"}], "answer": "accept"}),
    "ents": ("spaCy", {"ents": [{"start": 0, "end": 4, "label": "AE"}]}),
    "triples": ("spaCy", {"entities": [[0, 4, "AE"]]}),
    "annotations": ("Label Studio", {"data": {"text": TEXT}, "annotations": [{"result": []}]}),
    "capitals": ("another program", {"Entities": [{"id": "e", "type": "AE"}]}),
}


@pytest.mark.parametrize(("program", "keys"), FOREIGN.values(), ids=FOREIGN)
def test_labels_of_another_program_are_refused_with_its_name(
    tmp_path: Path, program: str, keys: dict[str, Any]
) -> None:
    lines = [{"id": "a", "text": TEXT}, {"id": "b", "text": TEXT, **keys}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    with pytest.raises(InputError, match=rf"^in\.jsonl:2: .*{program}") as caught:
        read_corpus("jsonl", tmp_path / "in.jsonl")

    assert "Rash" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "file", "value"),
    [
        ("spert", "in.json", [{"tokens": ["Rash"], "ner": [[0, 0, "AE"]]}]),
        ("bioc", "in.json", [{"id": "1", "passages": [], "denotations": [{"obj": "AE"}]}]),
    ],
    ids=["spert", "bioc"],
)
def test_other_readers_of_json_refuse_them_too(
    tmp_path: Path, name: str, file: str, value: Any
) -> None:
    (tmp_path / file).write_text(json.dumps(value), encoding="utf-8")

    with pytest.raises(InputError, match="holds labels in a form that is not read"):
        read_corpus(name, tmp_path / file)


@pytest.mark.parametrize("keys", [{"ward": "A"}, {"label": []}, {"meta": {"label": "x"}}])
def test_keys_without_labels_are_no_reason_to_refuse(tmp_path: Path, keys: dict[str, Any]) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": "a", "text": TEXT, **keys}))

    assert len(read_corpus("jsonl", tmp_path / "in.jsonl").documents) == 1
