from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from annotator.domain import Relation
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus

STORY = "Jane Doe of A&amp;B,\nthe old\nhead, 😀 met Bo."
SGM = f"<DOC>\n<DOCID> d </DOCID>\n<TEXT>\n{STORY}\n</TEXT>\n</DOC>\n"
TEXT = f"\n d \n\n{STORY}\n\n\n"


def _mention(name: str, mention: str, *, shift: int = 0) -> str:
    start = TEXT.index(mention) + shift
    charseq = f'<charseq START="{start}" END="{start + len(mention) - 1}">{mention}</charseq>'
    return (
        f'<entity_mention ID="{name}"><extent><charseq START="0" END="1">x</charseq></extent>'
        f"<head>{charseq}</head></entity_mention>"
    )


def _entity(kind: str, *mentions: str) -> str:
    return f'<entity ID="E" TYPE="{kind}">{"".join(mentions)}</entity>'


def _link05(name: str, kind: str, head: str, tail: str) -> str:
    return (
        f'<relation ID="R" TYPE="{kind}"><relation_argument REFID="E" ROLE="Arg-1"/>'
        f'<relation_mention ID="{name}">'
        f'<relation_mention_argument REFID="{tail}" ROLE="Arg-2"/>'
        f'<relation_mention_argument REFID="{head}" ROLE="Arg-1"/>'
        '<relation_mention_argument REFID="T1" ROLE="Time-Within"/>'
        "</relation_mention></relation>"
    )


def _link04(name: str, kind: str, head: str, tail: str) -> str:
    return (
        f'<relation ID="R" TYPE="{kind}"><rel_entity_arg ENTITYID="E" ARGNUM="1"/>'
        f'<relation_mention ID="{name}">'
        f'<rel_mention_arg ENTITYMENTIONID="{tail}" ARGNUM="2"/>'
        f'<rel_mention_arg ENTITYMENTIONID="{head}" ARGNUM="1"/>'
        "</relation_mention></relation>"
    )


PEOPLE = _entity("PER", _mention("M1", "Jane Doe"), _mention("M3", "Bo"))
FIRM = _entity("ORG", _mention("M2", "A&amp;B"))


def _read(
    folder: Path, *elements: str, prolog: str = "", sgm: str = SGM, strict: bool = False
) -> Corpus:
    (folder / "d.sgm").write_bytes(sgm.encode())
    (folder / "d.apf.xml").write_text(
        f'<?xml version="1.0"?>\n<!DOCTYPE source_file SYSTEM "apf.v5.1.1.dtd"{prolog}>\n'
        f'<source_file><document DOCID="d">{"".join(elements)}</document></source_file>',
        encoding="utf-8",
    )
    return read_corpus("ace", folder, strict=strict)


def _mentions(corpus: Corpus) -> dict[str, str]:
    document = corpus.documents[0]
    return {entity.id: document.mention(entity) for entity in document.entities}


def test_offsets_count_the_text_without_tags_and_with_entities_as_written(tmp_path: Path) -> None:
    corpus = _read(tmp_path, PEOPLE, FIRM)

    assert (corpus.documents[0].id, corpus.documents[0].text) == ("d", TEXT)
    assert _mentions(corpus) == {"M1": "Jane Doe", "M3": "Bo", "M2": "A&amp;B"}
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


def test_entity_is_the_head_even_over_a_line_end(tmp_path: Path) -> None:
    corpus = _read(tmp_path, _entity("PER", _mention("M1", "old\nhead")))

    assert _mentions(corpus) == {"M1": "old\nhead"}


def test_carriage_returns_that_were_not_counted_are_reported(tmp_path: Path) -> None:
    corpus = _read(tmp_path, PEOPLE, sgm=SGM.replace("\n", "\r\n"))

    assert _mentions(corpus) == {"M1": "Jane Doe", "M3": "Bo"}
    assert [item.place for item in corpus.report.repaired] == ["d.apf.xml"]


@pytest.mark.parametrize("link", [_link05, _link04], ids=["2005", "2004"])
def test_arguments_of_both_years_are_read_by_their_number(
    tmp_path: Path, link: Callable[..., str]
) -> None:
    corpus = _read(tmp_path, PEOPLE, FIRM, link("R1", "ORG-AFF", "M1", "M2"))

    assert corpus.documents[0].relations == (Relation(type="ORG-AFF", head="M1", tail="M2"),)


def test_discourse_relation_is_skipped(tmp_path: Path) -> None:
    corpus = _read(tmp_path, PEOPLE, FIRM, _link04("R1", "DISC", "M1", "M2"))

    assert corpus.documents[0].relations == ()
    assert [item.reason for item in corpus.report.skipped] == ["relation R1 is DISC"]


def test_mentions_of_one_type_and_head_become_one(tmp_path: Path) -> None:
    again = _entity("PER", _mention("M4", "Jane Doe"))
    other = _entity("GPE", _mention("M5", "Jane Doe"))
    links = [_link04("R1", "PHYS", "M1", "M3"), _link04("R2", "PHYS", "M4", "M3")]

    corpus = _read(tmp_path, PEOPLE, again, other, *links, _link04("R3", "ART", "M1", "M4"))

    assert list(_mentions(corpus)) == ["M1", "M3", "M5"]
    assert corpus.documents[0].relations == (Relation(type="PHYS", head="M1", tail="M3"),)
    assert [item.reason for item in corpus.report.repaired] == [
        "M4 has the type and head of M1; they were made one"
    ]
    assert [item.reason for item in corpus.report.skipped] == [
        "PHYS from M1 to M3 occurs twice",
        "ART from M1 to M1 joins an entity with itself",
    ]


def test_relation_whose_argument_is_lost_is_skipped(tmp_path: Path) -> None:
    lost = _entity("ORG", _mention("M2", "A&amp;B", shift=1))

    corpus = _read(tmp_path, PEOPLE, lost, _link04("R1", "ORG-AFF", "M1", "M2"))

    assert corpus.report.n_relations == 0
    assert [item.reason.split(" at ")[0] for item in corpus.report.skipped] == [
        "M2",
        "relation R1: its argument M2 was left out or absent",
    ]


def test_what_is_neither_entity_nor_relation_is_counted(tmp_path: Path) -> None:
    others = '<timex2 ID="T1"/><timex2 ID="T2"/><value ID="V1"/><event ID="V2"/>'
    headless = _entity("PER", '<entity_mention ID="M9"/>')
    half = '<relation TYPE="PHYS"><relation_mention ID="R9"/></relation>'

    corpus = _read(
        tmp_path, PEOPLE, FIRM, headless, half, _link05("R1", "ORG-AFF", "M1", "M2"), others
    )

    assert [item.reason for item in corpus.report.skipped] == [
        "mention M9 has no head",
        "relation R9 does not have both its arguments",
        "2 times were left out, first T1",
        "1 values were left out, first V1",
        "1 events were left out, first V2",
        "1 arguments that are neither first nor second were left out",
    ]


@pytest.mark.parametrize(
    "declarations",
    [
        ' [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]',
        ' [<!ENTITY a SYSTEM "file:///etc/hostname">]',
        ' [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]',
    ],
    ids=["billion laughs", "file", "network"],
)
def test_entities_of_its_own_are_refused(tmp_path: Path, declarations: str) -> None:
    with pytest.raises(InputError, match=r"^d\.apf\.xml:2: .* entity of its own"):
        _read(tmp_path, PEOPLE, prolog=declarations, strict=True)


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("&nbsp;", r"d\.apf\.xml:3: .* entity of its own"),
        ("<entity>", r"d\.apf\.xml:3: not well-formed"),
        ('<entity TYPE="PER"><entity_mention/></entity>', "a entity_mention has no ID"),
        (_mention("M1", "Bo").join(["<entity>", "</entity>"]), "a entity has no TYPE"),
        (PEOPLE.replace('END="', 'END="x'), "END of a charseq must be a whole number"),
        (PEOPLE + PEOPLE, "the id M1 occurs twice"),
    ],
    ids=["entity", "open", "id", "type", "offset", "repeated"],
)
def test_malformed_file_is_refused(tmp_path: Path, element: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        _read(tmp_path, element, strict=True)


def test_unknown_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.sgm").touch()
    (tmp_path / "d.apf.xml").write_text('<?xml version="1.0" encoding="klingon"?><a/>')

    with pytest.raises(InputError, match=r"^d\.apf\.xml"):
        read_corpus("ace", tmp_path, strict=True)


@pytest.mark.parametrize("name", ["d.sgm", "d.apf.xml"])
def test_one_document_is_read_by_either_of_its_files(tmp_path: Path, name: str) -> None:
    _read(tmp_path, PEOPLE)

    assert read_corpus("ace", tmp_path / name).report.n_entities == 2


def test_document_without_text_is_skipped(tmp_path: Path) -> None:
    _read(tmp_path, PEOPLE)
    (tmp_path / "e.apf.xml").write_bytes((tmp_path / "d.apf.xml").read_bytes())

    assert [item.place for item in read_corpus("ace", tmp_path).report.skipped] == ["e.apf.xml"]


def test_two_versions_of_a_document_are_refused_and_the_split_is_read(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "fp1").mkdir()
    _read(tmp_path / "train", PEOPLE)
    _read(tmp_path / "fp1", PEOPLE)

    with pytest.raises(InputError, match=r"^train/d\.apf\.xml: another document"):
        read_corpus("ace", tmp_path, strict=True)
    assert read_corpus("ace", tmp_path / "train").documents[0].meta == {"split": "train"}


def test_sample_holds_the_same_labels_as_its_miwa_form(shared_data: Path) -> None:
    folder = shared_data / "format_samples" / "ace"

    found, expected = read_corpus("ace", folder), read_corpus("miwa", folder)

    assert {f"T{name}": mention for name, mention in _mentions(found).items()} == _mentions(
        expected
    )
    assert [(r.type, f"T{r.head}", f"T{r.tail}") for r in found.documents[0].relations] == [
        (r.type, r.head, r.tail) for r in expected.documents[0].relations
    ]
    assert (found.report.skipped, found.report.repaired) == ((), ())
