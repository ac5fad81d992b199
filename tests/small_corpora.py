"""Small corpora in the layouts that experiments read, made of invented sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_DRUGS = ("aspirin", "ibuprofen", "heparin", "digoxin", "codeine")
_EFFECTS = ("rash", "fever", "nausea", "pain", "bleeding", "vomiting", "cough")
_BETWEEN = " induced severe "


def make_record(n: int, *, split: str | None = None) -> dict[str, Any]:
    """A document of two sentences: a drug that causes an effect, and one without labels."""
    drug, effect = _DRUGS[n % len(_DRUGS)], _EFFECTS[n % len(_EFFECTS)]
    text = f"{drug}{_BETWEEN}{effect} . Patient {n} went home ."
    start = len(drug) + len(_BETWEEN)
    return {
        "id": f"note-{n}",
        "text": text,
        "entities": [
            {"id": "e1", "type": "Drug", "start": 0, "end": len(drug)},
            {"id": "e2", "type": "Effect", "start": start, "end": start + len(effect)},
        ],
        "relations": [{"type": "causes", "head": "e1", "tail": "e2"}],
        "meta": {"split": split} if split else {},
    }


def write_notes(path: Path, *records: dict[str, Any]) -> Path:
    """Write canonical JSON lines."""
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    return path


def write_ade(folder: Path, *, n_abstracts: int = 20) -> Path:
    """Write two positive and three negative sentences an abstract, and a table of ten folds.

    The first sentence of abstract 0 holds a drug inside an effect.
    """
    rows, negatives, folds = [], [], ["orig_id\tfold\tpmid"]
    for pmid in range(n_abstracts):
        for i in range(2):
            n = 2 * pmid + i
            drug, effect = _DRUGS[n % len(_DRUGS)], _EFFECTS[n % len(_EFFECTS)]
            rows.append(_row(pmid, f"Case {n}: {drug} induced {effect}.", effect, drug))
            folds.append(f"{n}\t{n % 10}\t{pmid}")
        negatives += [f"{pmid} NEG Nothing of note {i} in case {pmid}." for i in range(3)]
    rows[0] = _row(0, "Case 0: codeine poisoning was seen.", "codeine poisoning", "codeine")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "DRUG-AE.rel").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "ADE-NEG.txt").write_text("\n".join(negatives) + "\n", encoding="utf-8")
    (folder / "spert_folds.tsv").write_text("\n".join(folds) + "\n", encoding="utf-8")
    return folder


def _row(pmid: int, sentence: str, effect: str, drug: str) -> str:
    fields = [str(pmid), sentence]
    for mention in (effect, drug):
        start = sentence.index(mention) + 100  # offsets of the corpus are those of the abstract
        fields += [mention, str(start), str(start + len(mention))]
    return "|".join(fields)


def write_conll04(folder: Path) -> Path:
    """Write train.txt, dev.txt and test.txt with six, two and two sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in (("train", range(6)), ("dev", range(6, 8)), ("test", range(8, 10))):
        blocks = [
            f"#doc {n}\n0\tMary\tB-Peop\t['Live_In']\t[2]\n1\tin\tO\t['N']\t[1]\n"
            f"2\tParis\tB-Loc\t['N']\t[2]\n3\t{n}\tO\t['N']\t[3]\n"
            for n in numbers
        ]
        (folder / f"{name}.txt").write_text("".join(blocks), encoding="utf-8")
    return folder


def write_i2b2(folder: Path, *, n_records: int = 10) -> Path:
    """Write records of two lines, each with a treatment that causes a problem in the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(n_records):
        drug, effect = _DRUGS[n % len(_DRUGS)], _EFFECTS[n % len(_EFFECTS)]
        lines = f"{drug} caused {effect} .\nRecord {n} ends .\n"
        concepts = f'c="{drug}" 1:0 1:0||t="treatment"\nc="{effect}" 1:2 1:2||t="problem"\n'
        relation = f'c="{drug}" 1:0 1:0||r="TrCP"||c="{effect}" 1:2 1:2\n'
        (folder / f"record-{n}.txt").write_text(lines, encoding="utf-8")
        (folder / f"record-{n}.con").write_text(concepts, encoding="utf-8")
        (folder / f"record-{n}.rel").write_text(relation, encoding="utf-8")
    return folder


def write_miwa(folder: Path) -> Path:
    """Write four, one and two documents of one sentence into train, dev and test."""
    for split, numbers in (("train", range(4)), ("dev", range(4, 5)), ("test", range(5, 7))):
        (folder / split).mkdir(parents=True)
        for n in numbers:
            text = f"Mary of Paris saw {n} .\n"
            labels = "T1\tPER 0 4\tMary\nT2\tGPE 8 13\tParis\nR1\tGEN-AFF Arg1:T1 Arg2:T2\n"
            (folder / split / f"doc-{n}.split.txt").write_text(text, encoding="utf-8")
            (folder / split / f"doc-{n}.split.ann").write_text(labels, encoding="utf-8")
    return folder
