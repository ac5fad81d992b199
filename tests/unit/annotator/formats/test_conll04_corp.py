from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from annotator.domain import Document, Relation
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus
from annotator.text import align_document

TOKENS = [
    ("Loc", "NNP/,/NNP", "Delaware/COMMA/Ohio"),
    ("O", ",", "COMMA"),
    ("O", "-LRB-", "-LRB-"),
    ("Peop", "NNP", "Rex"),
    ("O", "CC/CC", "and/or"),
]


def _read(
    folder: Path, tokens: list[tuple[str, str, str]], *relations: str, strict: bool = False
) -> Corpus:
    lines = [
        f"7\t{kind}\t{i}\tO\t{part}\t{word}\tO\tO\tO" for i, (kind, part, word) in enumerate(tokens)
    ]
    (folder / "corp.tsv").write_text("\n".join([*lines, "", *relations, ""]), encoding="utf-8")
    return read_corpus("conll04-corp", folder, strict=strict)


def _mentions(document: Document) -> list[tuple[str, str]]:
    return [(entity.type, document.mention(entity)) for entity in document.entities]


def _ends(document: Document) -> set[tuple[str | None, str, str]]:
    return {(relation.type, relation.head, relation.tail) for relation in document.relations}


def test_joined_words_are_cut_and_escaped_signs_written_out(tmp_path: Path) -> None:
    corpus = _read(tmp_path, TOKENS, "3\t0\tLive_In")

    document = corpus.documents[0]

    assert (document.id, document.text) == ("conll04-7", "Delaware , Ohio , ( Rex and or")
    assert _mentions(document) == [("Loc", "Delaware , Ohio"), ("Peop", "Rex")]
    assert document.relations == (Relation(type="Live_In", head="e2", tail="e1"),)
    assert len(align_document(document).sentences[0].words) == 8


@pytest.mark.parametrize(
    ("word", "part", "n_repaired"),
    [("Energiya/Buran", "NNP", 1), ("300/400/MHz", "NN/NNS", 1), ("/", "NN", 0), ("a/", "X/Y", 1)],
    ids=["one noun", "fewer parts", "sign", "empty part"],
)
def test_real_slash_stays_and_is_reported_where_it_could_be_another(
    tmp_path: Path, word: str, part: str, n_repaired: int
) -> None:
    corpus = _read(tmp_path, [("Other", part, word)])

    assert _mentions(corpus.documents[0]) == [("Other", word)]
    assert [item.place for item in corpus.report.repaired] == ["corp.tsv:1"] * n_repaired


@pytest.mark.parametrize(
    ("word", "part"), [("COMMA", "NNP"), ("-LRB-", "NNP"), ("UnitedStates", "NNP/NNPS")]
)
def test_word_that_only_looks_escaped_or_joined_stays(tmp_path: Path, word: str, part: str) -> None:
    assert _read(tmp_path, [("O", part, word)]).documents[0].text == word


def test_relation_at_no_entity_or_repeated_is_skipped(tmp_path: Path) -> None:
    corpus = _read(tmp_path, TOKENS, "3\t1\tLive_In", "3\t0\tLive_In", "3\t0\tLive_In")

    assert corpus.report.n_relations == 1
    assert [item.place for item in corpus.report.skipped] == ["corp.tsv:7", "corp.tsv:9"]


def test_tags_with_a_prefix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^corp\.tsv:2: expected a type or O"):
        _read(tmp_path, [("O", "O", "x"), ("B-Loc", "O", "y")], strict=True)


def test_packed_file_of_a_folder_is_read(tmp_path: Path) -> None:
    _read(tmp_path, TOKENS)
    (tmp_path / "corp.tsv.gz").write_bytes(gzip.compress((tmp_path / "corp.tsv").read_bytes()))
    (tmp_path / "corp.tsv").unlink()

    assert read_corpus("conll04-corp", tmp_path).report.n_documents == 1


def test_real_corpus_has_the_published_counts(shared_data: Path) -> None:
    corpus = read_corpus("conll04-corp", shared_data / "conll04")

    related = sum(bool(document.relations) for document in corpus.documents)
    links = Counter(link.type for document in corpus.documents for link in document.relations)
    issues = [issue for document in corpus.documents for issue in align_document(document).issues]

    assert (corpus.report.n_documents, related) == (5516, 1441)
    assert links == {
        "Live_In": 521,
        "OrgBased_In": 452,
        "Located_In": 406,
        "Work_For": 401,
        "Kill": 268,
    }
    assert (len(corpus.report.repaired), corpus.report.skipped, issues) == (13, (), [])


def test_sentences_are_those_of_spert_but_for_three_boundaries(shared_data: Path) -> None:
    folder = shared_data / "conll04"
    corp = {d.id.split("-")[1]: d for d in read_corpus("conll04-corp", folder).documents}

    differing = {
        number
        for name in ("train", "dev", "test")
        for document in read_corpus("spert", folder / f"spert_{name}.json").documents
        for number in [document.id.split("-")[1]]
        if (document.text, document.entities, _ends(document))
        != (corp[number].text, corp[number].entities, _ends(corp[number]))
    }

    assert differing == {"5273", "5331", "5343"}
