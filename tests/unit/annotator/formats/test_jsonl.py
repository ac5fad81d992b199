from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus, write_corpus

LINE: dict[str, Any] = {
    "id": "d1",
    "text": "rash after A",
    "entities": [
        {"id": "e1", "type": "AE", "start": 0, "end": 4, "text": "rash"},
        {"id": "e2", "type": "Drug", "start": 11, "end": 12, "text": "A"},
    ],
    "relations": [{"type": "R", "head": "e1", "tail": "e2"}],
}


def _read(folder: Path, *lines: str, strict: bool = False) -> Corpus:
    path = folder / "in.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    return read_corpus("jsonl", path, strict=strict)


def _entity(start: int, end: int, mention: str) -> dict[str, Any]:
    return {"id": "e1", "type": "AE", "start": start, "end": end, "text": mention}


def test_optional_keys_come_through(tmp_path: Path) -> None:
    document = Document(
        id="d",
        text="a b\u2028c",
        entities=(Entity(id="x", type="T", start=0, end=1, score=0.5),),
        relations=(
            Relation(type=None, head="x", tail="x"),
            Relation(type="R", head="x", tail="x", bidirectional=True, score=1.0),
        ),
        meta={"group": "g", "n": [1, None]},
    )

    write_corpus("jsonl", [document], tmp_path)

    assert read_corpus("jsonl", tmp_path).documents == (document,)


def test_blank_lines_are_ignored_and_only_id_and_text_are_needed(tmp_path: Path) -> None:
    corpus = _read(tmp_path, "", '{"id": "a", "text": ""}\r', "  ", '{"id": "b", "text": "x"}', "")

    assert [document.id for document in corpus.documents] == ["a", "b"]


def test_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(LINE).encode()))

    assert read_corpus("jsonl", path).report.n_relations == 1


def test_truncated_compressed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(LINE).encode())[:-9])

    with pytest.raises(InputError, match="cannot read"):
        read_corpus("jsonl", path, strict=True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": 5}, "id must be a string"),
        ({"id": ""}, "id must not be empty"),
        ({"text": None}, "text must be a string"),
        ({"entities": {}}, "entities must be a list"),
        ({"entities": [7]}, "entity 0: expected an object"),
        ({"entities": [{"id": "e1", "type": "AE"}]}, "entity 0: the key start is missing"),
        ({"entities": [_entity(0, 4, "rash") | {"end": 4.0}]}, "end must be a whole number"),
        ({"entities": [_entity(0, 4, "rash") | {"end": True}]}, "end must be a whole number"),
        ({"entities": [_entity(0, 4, "rash") | {"score": 2}]}, "score must be a number"),
        ({"entities": [_entity(0, 4, "rash")] * 2}, "e1 occurs twice"),
        ({"entities": []}, "names entity e1"),
        ({"relations": [{"head": "e1", "tail": "e2"}]}, "the key type is missing"),
        ({"relations": [{"type": "", "head": "e1", "tail": "e2"}]}, "type must not be empty"),
        ({"relations": [LINE["relations"][0] | {"direction": "up"}]}, "direction must be"),
        ({"meta": {"k": 1}}, None),
        ({"meta": [1]}, "meta: expected an object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_value_is_refused_with_its_place(
    tmp_path: Path, change: dict[str, Any], expected: str | None
) -> None:
    expected = expected or "2: the id d1 is taken by an earlier document"

    with pytest.raises(InputError, match=rf"in\.jsonl:2.*{expected}|in\.jsonl:{expected}"):
        _read(tmp_path, json.dumps(LINE), json.dumps(LINE | change), strict=True)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a", "text": "x"',
        '["a"]',
        '{"id": "a", "text": "\\ud800"}',
        '{"id": "a", "text": "x", "meta": {"v": NaN}}',
        '{"id": "a", "text": "x", "meta": {"v": 1e999}}',
        '{"id": "a", "text": "x", "meta": ' + "[" * 100_000,
        '{"id": "a", "text": "x", "meta": {"v": ' + "1" * 5000 + "}}",
        '{"id": "a"}',
    ],
    ids=["truncated", "list", "surrogate", "nan", "inf", "deep", "digits", "no text"],
)
def test_line_that_is_not_a_whole_document_is_refused_with_its_place(
    tmp_path: Path, line: str
) -> None:
    with pytest.raises(InputError, match=r"in\.jsonl:3"):
        _read(tmp_path, json.dumps(LINE), "", line, strict=True)


def test_bytes_that_are_not_utf8_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"id": "a", "text": "\xff"}')

    with pytest.raises(InputError, match=r"in\.jsonl:1: byte 21"):
        read_corpus("jsonl", path, strict=True)


@pytest.mark.parametrize(
    ("text", "start", "end", "mention", "span"),
    [
        ("😀 rash", 3, 7, "rash", (2, 6)),
        ("a\r\nrash", 2, 6, "rash", (3, 7)),
        ("😀\r\nrash", 3, 7, "rash", (3, 7)),
        ("😀😀\r\nrash", 5, 9, "rash", (4, 8)),
        ("a\r\nb", 0, 3, "a\nb", (0, 4)),
    ],
    ids=["utf-16", "crlf", "both cancel out", "both", "mention over a line end"],
)
def test_offsets_counted_otherwise_are_converted(
    tmp_path: Path, text: str, start: int, end: int, mention: str, span: tuple[int, int]
) -> None:
    line = {"id": "d", "text": text, "entities": [_entity(start, end, mention)]}

    entity = _read(tmp_path, json.dumps(line)).documents[0].entities[0]

    assert (entity.start, entity.end) == span


def test_converted_document_is_reported_as_repaired(tmp_path: Path) -> None:
    line = {"id": "d", "text": "😀 rash", "entities": [_entity(3, 7, "rash")]}

    report = _read(tmp_path, json.dumps(line)).report

    assert [(item.place, "UTF-16" in item.reason) for item in report.repaired] == [
        ("in.jsonl:1", True)
    ]


@pytest.mark.parametrize(
    ("start", "end", "mention", "expected"),
    [
        (0, 4, "painful", "does not hold the mention"),
        (0, 40, "rash", "not a span of the text"),
        (4, 4, "", "not a span of the text"),
        (-4, -1, "ash", "not a span of the text"),
    ],
    ids=["other", "past", "empty", "negative"],
)
def test_offsets_that_fit_no_counting_are_refused_without_showing_text(
    tmp_path: Path, start: int, end: int, mention: str, expected: str
) -> None:
    line = {"id": "d", "text": "rash", "entities": [_entity(start, end, mention)]}

    with pytest.raises(InputError, match=rf"in\.jsonl:1.*{expected}") as caught:
        _read(tmp_path, json.dumps(line), strict=True)

    assert "pain" not in str(caught.value)


def test_keys_that_the_format_does_not_have_are_reported(tmp_path: Path) -> None:
    report = _read(tmp_path, json.dumps(LINE | {"extra": 1})).report

    assert [item.place for item in report.skipped] == ["in.jsonl:1"]


def test_splits_get_files_of_their_own(tmp_path: Path) -> None:
    documents = [Document(id=name, text="x y. A b.") for name in "abc"]

    report = write_corpus("jsonl", documents, tmp_path, splits={"a": "train", "c": "dev"})

    assert [path.name for path in report.files] == ["gold.jsonl", "train.jsonl", "dev.jsonl"]
    assert report.n_sentences == 6
    assert read_corpus("jsonl", tmp_path / "dev.jsonl").documents == (documents[2],)


@pytest.mark.parametrize(
    "documents",
    [
        [Document(id="a", text="x"), Document(id="a", text="y")],
        [Document(id="a", text="x"), Document(id="b", text="\ud800")],
        [Document(id="a", text="x"), Document(id="b", text="x", meta={"v": {1}})],
        [Document(id="a", text="x"), Document(id="b", text="x", meta={"v": float("nan")})],
    ],
    ids=["same id", "surrogate", "set", "nan"],
)
@pytest.mark.parametrize("name", ["jsonl", "bioes"])
def test_nothing_is_left_behind_when_a_document_cannot_be_written(
    tmp_path: Path, name: str, documents: list[Document]
) -> None:
    with pytest.raises(InputError):
        write_corpus(name, documents, tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["../up", "gold", ""])
def test_split_name_that_is_no_file_name_is_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(InputError, match="split name"):
        write_corpus("jsonl", [Document(id="a", text="x")], tmp_path, splits={"a": split})


def test_real_pool_has_the_published_counts(shared_data: Path) -> None:
    corpus = read_corpus("jsonl", shared_data / "pool" / "pubmed_sentences.jsonl.gz")

    sources = Counter(document.id.split("-")[0] for document in corpus.documents)

    assert sources == {"cei": 21412, "hoc": 17288, "pubmedqa": 11306}
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())
