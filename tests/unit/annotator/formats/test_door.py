"""What every reader shares: encodings, names of files, bad lines, and files that are none."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from annotator.errors import InputError
from annotator.formats import READERS, Corpus, ReadReport, read_corpus, source

NINE = "0\tS-AE\t0\tO\tO\tRash\tO\tO\tO\n"
CORP = "0\tAE\t0\tO\tNN\tRash\tO\tO\tO\n"
APF = (
    '<source_file><document><entity ID="E" TYPE="PER"><entity_mention ID="M"><head>'
    '<charseq START="0" END="3">Rash</charseq></head></entity_mention></entity></document>'
    "</source_file>"
)
BIOC = (
    "<collection><document><id>1</id><passage><offset>0</offset><text>Rash</text>"
    '<annotation id="a"><infon key="type">AE</infon><location offset="0" length="4"/>'
    "<text>Rash</text></annotation></passage></document></collection>"
)
JSONL = {"id": "1", "text": "Rash", "entities": [{"id": "e", "type": "A", "start": 0, "end": 4}]}
WHOLE: dict[str, dict[str, str]] = {  # one document with one entity in every format
    "ace": {"d.sgm": "Rash", "d.apf.xml": APF},
    "ade": {"DRUG-AE.rel": "7|Rash after A|Rash|0|4|A|11|12\n"},
    "ade-giorgi": {"train.tsv": NINE},
    "bioc": {"a.xml": BIOC},
    "bioes": {"gold.tsv": NINE},
    "brat": {"a.txt": "Rash", "a.ann": "T1\tAE 0 4\tRash\n"},
    "conll04": {"train.txt": "#doc 1\n0\tRash\tB-AE\t['N']\t[0]\n"},
    "conll04-corp": {"corp.tsv": CORP},
    "csv": {"pool.csv": "id,text\n1,Rash\n"},
    "i2b2": {"r.txt": "Rash", "r.con": 'c="rash" 1:0 1:0||t="problem"\n', "r.rel": ""},
    "jsonl": {"gold.jsonl": json.dumps(JSONL) + "\n"},
    "miwa": {"d.split.txt": "Rash", "d.split.ann": "T1\tAE 0 4\tRash\n"},
    "pubtator": {"a.pubtator": "1|t|Rash\n1\t0\t4\tRash\tAE\tD1\n"},
    "spert": {
        "train.json": '[{"tokens": ["Rash"], "entities": [{"type": "A", "start": 0, "end": 1}]}]'
    },
    "text": {"a.txt": "Rash"},
}


def _read(folder: Path, name: str, files: dict[str, str], encoding: str = "utf-8") -> Corpus:
    for file, content in files.items():
        (folder / file).write_bytes(content.encode(encoding))
    return read_corpus(name, folder)


def _counts(report: ReadReport) -> tuple[int, int, int]:
    return report.n_documents, report.n_entities, sum(item.unreadable for item in report.skipped)


def test_there_is_a_file_of_every_format() -> None:
    assert set(WHOLE) == set(READERS)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        (name, encoding)
        for name in WHOLE
        for encoding in ("utf-8-sig", "utf-16", "utf-32")
        if encoding != "utf-32" or name not in ("ace", "bioc")  # expat reads no XML in UTF-32
    ],
)
def test_byte_order_mark_says_how_a_file_is_read(tmp_path: Path, name: str, encoding: str) -> None:
    plain = _read(tmp_path, name, WHOLE[name])

    marked = _read(tmp_path, name, WHOLE[name], encoding)

    assert marked.documents == plain.documents
    assert _counts(marked.report) == (1, plain.report.n_entities, 0)


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in ("ace", "bioc")])
def test_utf16_without_a_mark_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="UTF-16"):
        _read(tmp_path, name, WHOLE[name], "utf-16-le")


FOLDERS = ["ace", "bioc", "brat", "i2b2", "miwa", "pubtator", "text"]


@pytest.mark.parametrize("name", FOLDERS)
def test_names_in_capitals_are_read_and_what_systems_leave_is_passed_over(
    tmp_path: Path, name: str
) -> None:
    _read(tmp_path, name, WHOLE[name])
    for file in [*tmp_path.iterdir()]:
        middle, suffix = file.name.split(".", 1)
        (tmp_path / f"._{file.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        file.rename(tmp_path / f"{middle}.{suffix.upper()}")
    for clutter in (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"):
        (tmp_path / clutter).mkdir()

    report = read_corpus(name, tmp_path).report

    assert _counts(report) == (1, 0 if name == "text" else 1, 0)


BAD: dict[str, tuple[str, str, int]] = {  # a bad line, its place, documents that are left
    "bioes": (NINE + "0\tS-AE\t7\tO\tO\tx\tO\tO\tO\n1" + NINE[1:], "gold.tsv:2", 1),
    "conll04": ("#doc 0\n0\tx\n#doc 1\n0\tRash\tB-AE\t['N']\t[0]\n", "train.txt:2", 1),
    "csv": ("id,text\n1\n2,Rash\n", "pool.csv:2", 1),
    "jsonl": ("{\n" + json.dumps(JSONL), "gold.jsonl:1", 1),
    "pubtator": (WHOLE["pubtator"]["a.pubtator"] + "1\t7\tx\n\n2|t|x\n", "a.pubtator:3", 2),
    "brat": ("T1\tAE 0 4\tRash\nT2 x\n", "a.ann:2", 1),
    "i2b2": ('c="rash" 1:0 1:0||t="problem"\nc="x"\n', "r.con:2", 1),
    "spert": ('[{"tokens": 1}, {"tokens": ["x"]}]', "train.json: sentence 0", 1),
    "ade": ("7|x\n" + WHOLE["ade"]["DRUG-AE.rel"], "DRUG-AE.rel:1", 1),
    "miwa": ("T1\tAE 0 4\tRash\nX\n", "d.split.ann:2", 1),
    "bioc": (BIOC.replace('length="4"', 'length="x"'), "a.xml: 1", 1),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_line_is_reported_the_rest_read_and_all_refused_where_strict(
    tmp_path: Path, name: str
) -> None:
    content, place, n_documents = BAD[name]
    file = {"i2b2": "r.con"}.get(name, [*WHOLE[name]][-1])

    report = _read(tmp_path, name, WHOLE[name] | {file: content}).report

    assert [item.place for item in report.skipped if item.unreadable] == [place]
    assert report.n_documents == n_documents
    with pytest.raises(InputError, match=f"^{place}: "):
        read_corpus(name, tmp_path, strict=True)


def test_line_that_is_not_utf8_is_a_bad_line(tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_bytes(b'{"id": "\xff"}\n' + json.dumps(JSONL).encode())

    report = read_corpus("jsonl", tmp_path).report

    assert _counts(report) == (1, 1, 1)


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("jsonl", "in.jsonl", ""),
        ("csv", "in.csv", "id,text\n"),
        ("spert", "in.json", "[]"),
        ("bioc", "in.xml", "<collection><book/></collection>"),
        ("bioc", "in.xml", "<html/>"),
        ("bioc", "in.json", '{"documents": []}'),
        ("text", "in.txt", " \n"),
    ],
)
def test_file_without_a_document_is_refused(
    tmp_path: Path, name: str, file: str, content: str
) -> None:
    (tmp_path / file).write_text(content)

    with pytest.raises(InputError, match=r"holds no document|expected a BioC"):
        read_corpus(name, tmp_path / file)


@pytest.mark.parametrize("name", ["jsonl", "csv", "pubtator", "bioc"])
def test_small_file_that_unpacks_to_a_large_one_is_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(source, "MAX_UNPACKED_BYTES", 1 << 20)
    path = tmp_path / "in.gz"
    path.write_bytes(gzip.compress(b" " * (8 << 20)))

    with pytest.raises(InputError, match=r"^in\.gz: unpacked it is larger than 1 MiB"):
        read_corpus(name, path)


@pytest.mark.parametrize("name", sorted(READERS))
def test_pipe_and_device_are_refused_without_waiting(tmp_path: Path, name: str) -> None:
    pipe = tmp_path / "in.txt"
    os.mkfifo(pipe)

    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(InputError, match=r"a pipe or a device|there is no file"):
            read_corpus(name, path)


@pytest.mark.parametrize("name", FOLDERS)
def test_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    _read(outside, name, WHOLE[name])
    for file in outside.iterdir():
        (inside / file.name).symlink_to(file)

    with pytest.raises(InputError, match="a link that leads out of the folder"):
        read_corpus(name, inside)


@pytest.mark.parametrize("name", ["jsonl", "csv", "bioes", "conll04", "spert", "ade"])
def test_file_that_a_folder_is_read_for_is_found_in_capitals_but_not_outside(
    tmp_path: Path, name: str
) -> None:
    _read(tmp_path, name, WHOLE[name])
    [file] = tmp_path.iterdir()
    loud, linked = tmp_path / "loud", tmp_path / "linked"
    loud.mkdir()
    linked.mkdir()
    (linked / file.name).symlink_to(file)
    (loud / file.name.upper()).write_bytes(file.read_bytes())

    assert read_corpus(name, loud).report.n_documents == 1
    with pytest.raises(InputError, match="a link that leads out of the folder"):
        read_corpus(name, linked)


def test_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / ".store").mkdir()
    (tmp_path / ".store" / "1").write_text("Rash")
    (tmp_path / "a.txt").symlink_to(tmp_path / ".store" / "1")

    assert read_corpus("text", tmp_path).documents[0].text == "Rash"
