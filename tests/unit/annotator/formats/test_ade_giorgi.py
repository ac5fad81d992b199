from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from annotator.domain import Relation
from annotator.formats import Corpus, read_corpus


def _read(folder: Path, tags: list[str], *relations: str) -> Corpus:
    lines = [f"0\t{tag}\t{i}\tO\tO\tw{i}\tO\tO\tO" for i, tag in enumerate(tags)]
    (folder / "train.tsv").write_text("\n".join([*lines, "", *relations, "", ""]), "utf-8")
    return read_corpus("ade-giorgi", folder)


def test_relation_goes_from_the_drug_to_the_effect(tmp_path: Path) -> None:
    document = _read(tmp_path, ["S-DRUG", "B-AE", "E-AE"], "0\t2\tADE").documents[0]

    assert document.id == "ade-giorgi-0"
    assert document.relations == (Relation(type="ADE", head="e1", tail="e2"),)


def test_span_that_changes_its_type_is_two_and_reported(tmp_path: Path) -> None:
    corpus = _read(tmp_path, ["B-DRUG", "E-AE", "O", "S-AE"], "0\t3\tADE")

    document = corpus.documents[0]

    assert [(entity.type, document.mention(entity)) for entity in document.entities] == [
        ("DRUG", "w0"),
        ("AE", "w1"),
        ("AE", "w3"),
    ]
    assert [item.place for item in corpus.report.repaired] == ["train.tsv:1", "train.tsv:6"]


@pytest.mark.parametrize("relation", ["0\t2\tADE", "1\t0\tADE"], ids=["drug", "reversed"])
def test_relation_between_other_types_is_skipped(tmp_path: Path, relation: str) -> None:
    corpus = _read(tmp_path, ["S-DRUG", "S-AE", "S-DRUG"], relation)

    assert corpus.report.n_relations == 0
    assert [item.place for item in corpus.report.skipped] == ["train.tsv: ade-giorgi-0"]


def test_real_corpus_has_the_published_counts_but_for_its_errors(shared_data: Path) -> None:
    corpus = read_corpus("ade-giorgi", shared_data / "ade")

    types = Counter(entity.type for document in corpus.documents for entity in document.entities)
    kinds = Counter("relation" in item.reason for item in corpus.report.repaired)

    assert (corpus.report.n_documents, corpus.report.n_relations) == (4215, 6682 - 2)
    assert types == {"DRUG": 4979, "AE": 5669 + 5}  # five spans that change their type are two
    assert kinds == {False: 5, True: 5}
    assert [item.place for item in corpus.report.skipped] == [
        "giorgi_train.tsv: ade-giorgi-3808",
        "giorgi_train.tsv: ade-giorgi-3808",
    ]


def test_sentences_of_the_real_corpus_are_in_the_relation_file(shared_data: Path) -> None:
    known = {d.text.replace(" ", "") for d in read_corpus("ade", shared_data / "ade").documents}

    documents = read_corpus("ade-giorgi", shared_data / "ade").documents

    assert {document.text.replace(" ", "") for document in documents} <= known
