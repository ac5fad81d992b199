from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from annotator.domain import Relation
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus
from annotator.text import align_document


def _read(folder: Path, *lines: str, strict: bool = False) -> Corpus:
    path = folder / "DRUG-AE.rel"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_corpus("ade", folder, strict=strict)


def test_offsets_are_shifted_to_the_sentence_where_a_mention_occurs_twice(tmp_path: Path) -> None:
    corpus = _read(tmp_path, "7|rash: A, then rash.|rash|114|118|A|106|107")

    document = corpus.documents[0]

    assert [(e.type, e.start, e.end) for e in document.entities] == [
        ("Drug", 6, 7),
        ("Adverse-Effect", 14, 18),
    ]
    assert document.relations == (Relation(type="Adverse-Effect", head="e2", tail="e1"),)
    assert (document.id, document.meta) == ("ade-0", {"pmid": "7", "group": "7"})


def test_repeated_line_is_skipped(tmp_path: Path) -> None:
    report = _read(tmp_path, *["7|rash after A|rash|10|14|A|21|22"] * 2).report

    assert (report.n_relations, [item.place for item in report.skipped]) == (1, ["DRUG-AE.rel:2"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("7|rash after A|rash|10|14|A|21", "expected 8 fields"),
        ("|rash after A|rash|10|14|A|21|22", "the PMID or the sentence"),
        ("7|rash after A|rash|10|15|A|21|22", "begin and end of the Adverse-Effect"),
        ("7|rash after A|rash|10|14|A|x|22", "begin and end of the Drug"),
        ("7|rash after A|rash|10|14|A|22|23", "expected exactly one shift"),
        ("7|A A|A|10|11|A|10|11", "expected exactly one shift"),
    ],
    ids=["fields", "empty", "length", "number", "no shift", "two shifts"],
)
def test_malformed_line_is_refused_with_its_place(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(InputError, match=rf"DRUG-AE\.rel:2: {expected}"):
        _read(tmp_path, "7|rash after B|rash|10|14|B|21|22", line, strict=True)


def test_negatives_are_documents_without_labels(tmp_path: Path) -> None:
    path = tmp_path / "ADE-NEG.txt"
    path.write_text("12 NEG No harm was seen.\n\n", encoding="utf-8")

    document = read_corpus("ade", path).documents[0]

    assert (document.id, document.text, document.meta["group"]) == (
        *("ade-neg-0", "No harm was seen.", "12"),
    )


def test_malformed_negative_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "ADE-NEG.txt"
    path.write_text("12 POS Harm.\n", encoding="utf-8")

    with pytest.raises(InputError, match=r"ADE-NEG\.txt:1"):
        read_corpus("ade", path, strict=True)


def test_dosages_are_not_taken_for_effects(tmp_path: Path) -> None:
    path = tmp_path / "DRUG-DOSE.rel"
    path.write_text("7|1 mg of A|1 mg|10|14|A|18|19\n", encoding="utf-8")

    with pytest.raises(InputError, match="dosages"):
        read_corpus("ade", path, strict=True)


def test_real_corpus_has_the_published_counts(shared_data: Path) -> None:
    corpus = read_corpus("ade", shared_data / "ade")

    types = Counter(entity.type for document in corpus.documents for entity in document.entities)

    assert (corpus.report.n_documents, corpus.report.n_relations) == (4272, 6821)
    assert types == {"Drug": 5063, "Adverse-Effect": 5776}


def test_ids_are_those_of_the_spert_conversion(shared_data: Path) -> None:
    corpus = read_corpus("ade", shared_data / "ade")
    spert = json.loads((shared_data / "ade" / "spert_ade_full.json").read_text(encoding="utf-8"))

    assert {f"ade-{s['orig_id']}": "".join(s["tokens"]).replace(" ", "") for s in spert} == {
        document.id: document.text.replace(" ", "") for document in corpus.documents
    }


def test_overlaps_of_the_real_corpus_are_drugs_inside_their_effects(shared_data: Path) -> None:
    documents = read_corpus("ade", shared_data / "ade").documents

    inside = [
        (document.id, drug.end - drug.start < effect.end - effect.start)
        for document in documents
        for ids in [{entity.id: entity for entity in document.entities}]
        for relation in document.relations
        for effect, drug in [(ids[relation.head], ids[relation.tail])]
        if drug.start < effect.end and effect.start < drug.end
    ]

    assert (len(inside), len(set(inside))) == (120, 119)
    assert all(is_shorter for _, is_shorter in inside)


def test_overlaps_of_the_real_corpus_are_named_on_alignment(shared_data: Path) -> None:
    documents = read_corpus("ade", shared_data / "ade").documents

    issues = Counter(
        issue.kind for document in documents for issue in align_document(document).issues
    )

    assert issues["overlap"] == 120


def test_real_negatives_have_the_published_counts(shared_data: Path) -> None:
    documents = read_corpus("ade", shared_data / "ade" / "ADE-NEG.txt").documents
    positive = {document.text for document in read_corpus("ade", shared_data / "ade").documents}

    texts = {document.text for document in documents}

    assert (len(documents), len(texts), len({d.meta["group"] for d in documents})) == (
        *(16695, 16625, 2922),
    )
    assert (len(positive), positive & texts) == (4271, set())
