from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats import Corpus, SkippedItem, read_corpus
from annotator.text import align_document

TITLE, ABSTRACT = "😀 Aspirin & rash", "A rash after aspirin. It went."


def _note(name: str | None, kind: str | None, text: str, *offsets: int) -> dict[str, Any]:
    return {
        "id": name,
        "infons": {"type": kind} if kind else {},
        "text": text,
        "locations": [{"offset": offset, "length": len(text)} for offset in offsets],
    }


def _link(name: str, kind: str, *nodes: tuple[str, str]) -> dict[str, Any]:
    return {
        "id": name,
        "infons": {"type": kind},
        "nodes": [{"refid": refid, "role": role} for refid, role in nodes],
    }


NOTES = [_note("T1", "Drug", "Aspirin", 2), _note("T2", "AE", "rash", 12)]
ABSTRACT_NOTES = [_note("T3", "AE", "rash", 19), _note("T4", "Drug", "aspirin", 30)]
LINK = _link("R1", "causes", ("T4", ""), ("T3", ""))


def _document(**changes: Any) -> dict[str, Any]:
    passages = [
        {"offset": 0, "infons": {}, "text": TITLE, "annotations": NOTES},
        {"offset": 17, "text": ABSTRACT, "annotations": ABSTRACT_NOTES, "relations": [LINK]},
    ]
    return {"id": "7", "infons": {}, "passages": passages, **changes}


def _passage(*notes: dict[str, Any], text: str = ABSTRACT, **changes: Any) -> dict[str, Any]:
    return _document(passages=[{"offset": 0, "text": text, "annotations": notes, **changes}])


def _read(folder: Path, *documents: dict[str, Any], strict: bool = False) -> Corpus:
    (folder / "in.json").write_text(json.dumps({"documents": documents}), encoding="utf-8")
    return read_corpus("bioc", folder, strict=strict)


def _xml(value: dict[str, Any], tag: str) -> str:
    attributes = {key: value.get(key) for key in ("refid", "role", "offset", "length")}
    if tag in ("annotation", "relation"):
        attributes = {"id": value["id"]}
    if tag in ("document", "passage"):
        attributes = {}
    inner = "".join(
        f"<{key}>{escape(str(value[key]))}</{key}>"
        for key in ("id", "offset", "text")
        if key in value and key not in attributes
    )
    inner += "".join(
        f"<infon key={quoteattr(key)}>{escape(text)}</infon>"
        for key, text in value.get("infons", {}).items()
    )
    inner += "".join(
        _xml(child, key[:-1])
        for key in ("passages", "locations", "annotations", "nodes", "relations")
        for child in value.get(key, [])
    )
    shown = "".join(
        f" {key}={quoteattr(str(found))}" for key, found in attributes.items() if found is not None
    )
    return f"<{tag}{shown}>{inner}</{tag}>"


def _read_xml(folder: Path, body: str, prolog: str = "", strict: bool = False) -> Corpus:
    (folder / "in.xml").write_text(
        f'<?xml version="1.0"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd"{prolog}>\n'
        f"<collection><source/><date/><key/>{body}</collection>",
        encoding="utf-8",
    )
    return read_corpus("bioc", folder, strict=strict)


EXPECTED = Document(
    id="7",
    text=f"{TITLE}\n\n{ABSTRACT}",
    entities=(
        Entity(id="T1", type="Drug", start=2, end=9),
        Entity(id="T2", type="AE", start=12, end=16),
        Entity(id="T3", type="AE", start=20, end=24),
        Entity(id="T4", type="Drug", start=31, end=38),
    ),
    relations=(Relation(type="causes", head="T4", tail="T3"),),
)


def test_json_is_read_with_passages_apart(tmp_path: Path) -> None:
    corpus = _read(tmp_path, _document())

    assert corpus.documents == (EXPECTED,)
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


def test_xml_is_read_like_json(tmp_path: Path) -> None:
    corpus = _read_xml(tmp_path, _xml(_document(), "document"))

    assert corpus.documents == (EXPECTED,)
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


def test_title_and_abstract_are_sentences_of_their_own(tmp_path: Path) -> None:
    sentences = align_document(_read(tmp_path, _document()).documents[0]).sentences

    assert [sentence.start for sentence in sentences] == [0, 18, 40]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(_document()),
        json.dumps([_document()]),
        json.dumps([{"documents": [_document()]}]),
        json.dumps({"PubTator3": [_document()]}),
        "\n".join([json.dumps(_document()), "", json.dumps(_document(id="8"))]),
        "\ufeff" + json.dumps({"documents": [_document()]}, indent=1),
    ],
    ids=["document", "documents", "collections", "PubTator3", "lines", "mark and indent"],
)
def test_other_shapes_of_json_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.json").write_text(text, encoding="utf-8")

    assert read_corpus("bioc", tmp_path).documents[0] == EXPECTED


def test_labels_of_the_document_are_put_into_their_passages(tmp_path: Path) -> None:
    bare = [{"offset": 0, "text": TITLE}, {"offset": 17, "text": ABSTRACT}]

    corpus = _read(
        tmp_path,
        _document(passages=bare, annotations=[*NOTES, *ABSTRACT_NOTES], relations=[LINK]),
    )

    assert corpus.documents == (EXPECTED,)


def test_text_of_sentences_is_joined_where_the_passage_has_none(tmp_path: Path) -> None:
    first = {"offset": 17, "text": ABSTRACT[:21], "annotations": ABSTRACT_NOTES}
    second = {"offset": 39, "text": ABSTRACT[22:], "relations": [LINK]}
    passages = [
        {"offset": 0, "text": TITLE, "sentences": [{"offset": 0, "annotations": NOTES}]},
        {"offset": 17, "sentences": [first, second]},
    ]

    corpus = _read(tmp_path, _document(passages=passages))

    assert corpus.documents == (EXPECTED,)


@pytest.mark.parametrize(
    ("start", "counting"),
    [(3, "UTF-16 units"), (5, "UTF-8 bytes")],
    ids=["units", "bytes"],
)
def test_offsets_counted_otherwise_are_converted_and_reported(
    tmp_path: Path, start: int, counting: str
) -> None:
    corpus = _read(tmp_path, _passage(_note("T1", "Drug", "Aspirin", start), text=TITLE))

    assert corpus.documents[0].entities == (EXPECTED.entities[0],)
    assert [item.reason for item in corpus.report.repaired] == [
        f"1 mentions were counted in {counting}"
    ]


def _reason(item: SkippedItem) -> str:
    return item.reason.removeprefix("annotation ").split(" (")[0]


def test_annotation_that_is_no_typed_span_is_skipped(tmp_path: Path) -> None:
    corpus = _read(
        tmp_path,
        _passage(
            _note("T1", "AE", "rash", 2, 13),
            _note("T2", "AE", "rash"),
            _note("T3", None, "rash", 2),
            _note("T4", "AE", "rash", 4),
            _note("T5", "AE", "rash", 99),
            relations=[_link("R1", "causes", ("T4", ""), ("T5", ""))],
        ),
    )

    assert corpus.documents[0].entities == ()
    assert [_reason(item) for item in corpus.report.skipped] == [
        "T2: it has no place",
        "T3: it has no type",
        "T1 at 2..17 is discontinuous",
        "T4 at 4..8 does not hold the mention that came along",
        "T5 at 99..103 is not a span of the text",
        "relation R1: its argument T4 was left out or absent",
    ]


def test_relation_that_does_not_join_two_annotations_is_skipped(tmp_path: Path) -> None:
    concepts = {"id": "R2", "infons": {"relation": "CID", "Chemical": "D1", "Disease": "D2"}}
    typeless = {"id": "R3", "nodes": []}

    corpus = _read(
        tmp_path,
        _document(relations=[_link("R1", "x", *[("T1", "")] * 3), concepts, typeless]),
    )

    assert corpus.report.n_relations == 1
    assert [item.reason for item in corpus.report.skipped] == [
        "relation R1 joins 3 annotations, not two",
        "relation R2 joins 0 annotations, not two",
        "relation R3 has no type",
    ]


@pytest.mark.parametrize("text", ["right kidney", None], ids=["quoted", "not quoted"])
@pytest.mark.parametrize("gap", [" ", "\n", " \r\n "], ids=["blank", "line", "both"])
def test_places_with_white_space_between_them_are_one_span(
    tmp_path: Path, text: str | None, gap: str
) -> None:
    note = _note("T1", "Anatomy", "right kidney")
    places = [{"offset": 5 + len(gap), "length": 6}, {"offset": 0, "length": 5}]

    corpus = _read(
        tmp_path, _passage({**note, "text": text, "locations": places}, text=f"right{gap}kidney")
    )

    assert corpus.documents[0].entities == (
        Entity(id="T1", type="Anatomy", start=0, end=11 + len(gap)),
    )


def test_offsets_from_the_beginning_of_their_passage_are_moved_and_reported(
    tmp_path: Path,
) -> None:
    notes = [_note("T3", "AE", "rash", 2), _note("T4", "Drug", "aspirin", 13)]
    value = _document()
    value["passages"] = [value["passages"][0], {**value["passages"][1], "annotations": notes}]

    corpus = _read(tmp_path, value)

    assert corpus.documents == (EXPECTED,)
    assert [item.reason for item in corpus.report.repaired] == [
        "2 mentions were counted in code points from the passage's beginning"
    ]


@pytest.mark.parametrize(
    ("roles", "head"),
    [
        (("", ""), "T3"),
        (("Arg1", "Arg2"), "T3"),
        (("Arg2", "Arg1"), "T4"),
        (("Tail", "Head"), "T4"),
        (("object", "subject"), "T4"),
        (("obj", "subj"), "T4"),
        (("target", "source"), "T4"),
        (("Theme", "Cause"), "T3"),
    ],
)
def test_head_is_the_first_node_unless_the_roles_say_otherwise(
    tmp_path: Path, roles: tuple[str, str], head: str
) -> None:
    link = _link("R1", "x", ("T3", roles[0]), ("T4", roles[1]))

    corpus = _read(tmp_path, _document(relations=[link]))

    assert corpus.documents[0].relations[1].head == head


def test_annotations_without_an_id_of_their_own_get_one(tmp_path: Path) -> None:
    notes = [_note(name, "AE", "rash", 2) for name in ("1", "1", None, "2")]
    link = _link("R1", "x", ("1", ""), ("2", ""))

    corpus = _read(tmp_path, _passage(*notes, relations=[link]))

    assert [entity.id for entity in corpus.documents[0].entities] == ["e3", "e4", "e5", "2"]
    assert (len(corpus.report.repaired), len(corpus.report.skipped)) == (3, 1)


def test_document_without_text_is_reported(tmp_path: Path) -> None:
    corpus = _read(tmp_path, _document(passages=[], annotations=NOTES))

    assert [_reason(item) for item in corpus.report.skipped] == [
        "T1: it stands in no text",
        "T2: it stands in no text",
        "the document holds no text",
    ]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (_document(id=""), "document 0 has no id"),
        (_document(passages=3), "7: passages must be a list of objects"),
        (_document(passages=[{"text": "x"}]), "7: offset must be a whole number"),
        (_document(passages=[{"text": 3, "offset": 0}]), "7: text must be a string"),
        (_passage({"infons": ["x"]}), "7: annotation without id: infons must be an object"),
    ],
    ids=["id", "passages", "offset", "text", "infons"],
)
def test_malformed_document_is_refused_with_its_place(
    tmp_path: Path, document: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=rf"^in\.json: {expected}"):
        _read(tmp_path, document, strict=True)


@pytest.mark.parametrize("text", ["{}", "[1]", "3", "{", '{"documents": 1}'])
def test_file_that_is_no_collection_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.json").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=r"^in\.json: .*expected a BioC collection"):
        read_corpus("bioc", tmp_path, strict=True)


def test_repeated_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the id 7 is taken by an earlier document"):
        _read(tmp_path, _document(), _document(relations=[LINK]), strict=True)


def test_xml_with_entities_of_its_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^in\.xml:2: .* entity of its own"):
        _read_xml(tmp_path, "", ' [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]', strict=True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<document><id>7</id><passage><text>x</text></passage></document>", "offset must be"),
        ("</collection><collection>", r"xml:3: not well-formed"),
    ],
    ids=["offset", "two roots"],
)
def test_malformed_xml_is_refused(tmp_path: Path, body: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        _read_xml(tmp_path, body, strict=True)


def test_xml_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.xml").write_text("<html/>")

    with pytest.raises(InputError, match="expected a BioC <collection>"):
        read_corpus("bioc", tmp_path, strict=True)


def test_split_is_that_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    _read(tmp_path / "dev", _document())

    assert read_corpus("bioc", tmp_path).documents[0].meta == {"split": "dev"}
