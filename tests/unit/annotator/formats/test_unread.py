"""What a file has and a document has not is counted for each document."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator.formats import read_corpus

Files = dict[str, str]

PUBTATOR = "1|t|Rash after aspirin.\n1\t5\t9\tRash\tAE\tD1\n1\tcauses\tD1\tD2\n\n2|t|Fine.\n"
BIOC = (
    "<collection><document><id>1</id><passage><offset>0</offset><text>Rash</text>"
    '<annotation id="a"><infon key="type">AE</infon><location offset="2" length="9"/>'
    "<text>Rash</text></annotation></passage></document></collection>"
)
GIORGI = "0\tS-AE\t0\tO\tO\trash\tO\tO\tO\n0\tO\t1\tO\tO\twent\tO\tO\tO\n\n0\t1\tADE\n0\t0\tADE\n"
ONE = '{"id": "d", "text": "Rash", "entities": [{"id": "x", "type": "A", "start": 0, "end": 4}]}\n'
CASES: dict[str, tuple[str, Files, dict[str, int]]] = {
    "brat": (
        "brat",
        {
            "a.txt": "Rash after aspirin.",
            "a.ann": "T1\tAE 0 4\tRash\nT2\tDrug 11 40\taspirin\nR1\tcauses Arg1:T2 Arg2:T1\n",
            "b.txt": "Fine.",
            "b.ann": "#1\tAnnotatorNotes T1\ta note\n",
        },
        {"a": 2},
    ),
    "pubtator": ("pubtator", {"a.pubtator": PUBTATOR}, {"1": 2}),
    "bioc": ("bioc", {"a.xml": BIOC}, {"1": 1}),
    "i2b2": ("i2b2", {"r.txt": "Rash .", "r.con": 'c="pain" 1:7 1:7||t="problem"\n'}, {"r": 1}),
    "jsonl, one id twice": (
        "jsonl",
        {"gold.jsonl": ONE + ONE + ONE.replace("0", "1") + ONE.replace('"d"', '"other"')},
        {"d": 1},
    ),
    "bioes": ("bioes", {"gold.tsv": GIORGI.replace("0\t0\tADE\n", "")}, {"0": 1}),
    "ade-giorgi": ("ade-giorgi", {"train.tsv": GIORGI}, {"ade-giorgi-0": 2}),
}


@pytest.mark.parametrize(("name", "files", "unread"), CASES.values(), ids=CASES)
def test_labels_that_could_not_be_read_are_counted_for_their_document(
    tmp_path: Path, name: str, files: Files, unread: dict[str, int]
) -> None:
    for file, content in files.items():
        (tmp_path / file).write_text(content, encoding="utf-8")

    report = read_corpus(name, tmp_path).report

    assert report.unread == unread
    assert sum(item.unreadable for item in report.skipped) == sum(unread.values())
