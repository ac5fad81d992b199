"""The 2010 i2b2/VA corpus: ``.txt``, ``.con`` (concepts) and ``.rel`` (relations) of each record.

A position is ``line:token``: **lines count from 1, tokens from 0**, tokens are separated by white
space, and the last token is inclusive. The quoted text is lower-cased and may contain quotes, so
concepts are found by position and the quotation is only a check. Some records count an empty token
between two blanks: where more of a record's quotations match that way, it is read that way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.mentions import same_words
from annotator.formats.source import find_files, read_bytes, read_lines, read_text
from annotator.formats.words import segment_lines

__all__ = ["read"]

_CONCEPT = r'c="(.*)" ([0-9]{1,9}):([0-9]{1,9}) ([0-9]{1,9}):([0-9]{1,9})'
_CONCEPT_LINE = re.compile(rf'{_CONCEPT}\|\|t="([^"]+)"\s*')
_RELATION_LINE = re.compile(rf'{_CONCEPT}\|\|r="([^"]+)"\|\|{_CONCEPT}\s*')
_FIRST_TYPE = {"Tr": "treatment", "Te": "test", "PI": "problem"}
_SUFFIXES = (".txt", ".con", ".rel", ".ast")

_Position = tuple[int, int, int, int]  # first line and token, last line and token
_Files = dict[str, dict[str, Path]]  # suffix, then name of the record


@dataclass(slots=True, kw_only=True)
class _Record:
    """One record while its files are read. ``by_position`` holds entity ids by type."""

    text: str
    lines: list[list[list[int]]]
    entities: list[Entity] = field(default_factory=list)
    by_position: dict[_Position, dict[str, str]] = field(default_factory=dict)
    relations: dict[Relation, None] = field(default_factory=dict)

    def span(self, position: _Position) -> tuple[int, int] | None:
        """Return the offsets of a position; None if the record has no such tokens."""
        first_line, first, last_line, last = position
        try:
            if first_line < 1:
                return None
            start = self.lines[first_line - 1][first][0]
            end = self.lines[last_line - 1][last][1]
        except IndexError:
            return None
        return (start, end) if start < end else None


def read(path: Path) -> Corpus:
    """Read the ``.txt`` of one record, or all records in and below a folder.

    The files of a record share their name and may be in folders of their own (``txt/``,
    ``concept/``, ``rel/``). A document is a record; its lines are its sentences, and the tokens are
    the corpus's. The head of a relation is the treatment or test; of ``PIP`` the first problem.

    A record without ``.con`` is skipped; labels without ``.txt`` and malformed lines are lost.
    Assertions (``.ast``) are not read.

    Raises:
        InputError: if there is no record with concepts, or two different files share a name.
    """
    files = _find(path)
    log = ReadLog()
    documents = []
    for name, text_file in files[".txt"].items():
        if name not in files[".con"]:
            log.skip(text_file.name, "there is no .con file of this record; read it as text")
        else:
            with log.forgive(text_file.name):
                documents.append(_read_record(name, files, log.of(name)))
    for suffix in (".con", ".rel"):
        for name in files[suffix].keys() - files[".txt"].keys():
            log.lose(files[suffix][name].name, "there is no .txt file of this record")
    if not files[".txt"].keys() & files[".con"].keys():
        raise InputError(
            f"no file below {path} has both .txt and .con; give the folder that holds txt/, "
            "concept/ and rel/, or read the text alone as text"
        )
    if files[".ast"]:
        first = next(iter(files[".ast"].values())).name
        log.skip(first, f"assertions of {len(files['.ast'])} records (.ast) were left out")
    return Corpus.build("i2b2", documents, log)


def _find(path: Path) -> _Files:
    root = path
    if path.is_file():
        root = path.parent.parent if path.parent.name == "txt" else path.parent
    files: _Files = {suffix: {} for suffix in _SUFFIXES}
    for file in find_files(root, *_SUFFIXES):
        suffix = file.suffix.lower()
        if path.is_file() and file.stem != path.stem:
            continue
        other = files[suffix].setdefault(file.stem, file)
        if other != file and read_bytes(other) != read_bytes(file):
            raise InputError(
                f"{file.relative_to(root)} and {other.relative_to(root)} differ and have one "
                "name; read one folder at a time"
            )
    return files


def _read_record(name: str, files: _Files, log: ReadLog) -> Document:
    text = read_text(files[".txt"][name], log)
    meta = segment_lines(text)
    record = _Record(text=text, lines=_tokens_by_line(text, meta["tokens"]))
    concepts = list(_matches(files[".con"][name], _CONCEPT_LINE, "concept", log))
    counted = _Record(text=text, lines=_tokens_by_blank(text))
    if _n_quoted(counted, concepts) > _n_quoted(record, concepts):
        record = counted
        reason = "its positions count an empty token between two blanks; they were read that way"
        log.repair(files[".con"][name].name, reason)
    for place, match in concepts:
        _add_concept(record, match, place, log)
    if name in files[".rel"]:
        for place, match in _matches(files[".rel"][name], _RELATION_LINE, "relation", log):
            _add_relation(record, match, place, log)
    else:
        log.skip(files[".con"][name].name, "there is no .rel file; read without relations")
    return Document(
        id=name,
        text=text,
        entities=tuple(record.entities),
        relations=tuple(record.relations),
        meta=meta,
    )


def _tokens_by_line(text: str, tokens: list[list[int]]) -> list[list[list[int]]]:
    lines: list[list[list[int]]] = []
    following = iter(tokens)
    token = next(following, None)
    end = -1
    for line in text.split("\n"):
        end += len(line) + 1
        lines.append([])
        while token is not None and token[0] < end:
            lines[-1].append(token)
            token = next(following, None)
    return lines


def _tokens_by_blank(text: str) -> list[list[list[int]]]:
    """Return the tokens of each line where each blank ends one, empty ones as well."""
    lines: list[list[list[int]]] = []
    start = 0
    for line in text.split("\n"):
        lines.append([])
        for word in line.split(" "):
            lines[-1].append([start, start + len(word.rstrip())])
            start += len(word) + 1
    return lines


def _n_quoted(record: _Record, concepts: list[tuple[str, re.Match[str]]]) -> int:
    """Count the concepts whose quotation stands at their position."""
    spans = ((record.span(_position(match, 2)), match[1]) for _, match in concepts)
    return sum(
        span is not None and _is_quoted(record.text[span[0] : span[1]], quotation)
        for span, quotation in spans
    )


def _is_quoted(found: str, quotation: str) -> bool:
    return same_words(found.casefold(), quotation.casefold())


def _matches(
    source: Path, pattern: re.Pattern[str], kind: str, log: ReadLog
) -> Iterator[tuple[str, re.Match[str]]]:
    for number, line in read_lines(source, log):
        place = f"{source.name}:{number}"
        match = pattern.fullmatch(line)
        if match is not None:
            yield place, match
        elif line.strip():
            log.lose(place, f"this is no {kind} as this format has it ({_EXPECTED[kind]})")


_EXPECTED = {
    "concept": 'c="text" 1:0 1:2||t="problem"',
    "relation": 'c="text" 1:0 1:2||r="TrAP"||c="text" 1:4 1:4',
}


def _position(match: re.Match[str], group: int) -> _Position:
    first_line, first, last_line, last = (int(match[group + i]) for i in range(4))
    return first_line, first, last_line, last


def _add_concept(record: _Record, match: re.Match[str], place: str, log: ReadLog) -> None:
    position, kind = _position(match, 2), match[6]
    span = record.span(position)
    if span is None:
        log.lose(place, f"the record has no tokens at {_show(position)}")
        return
    start, end = span
    if kind in record.by_position.get(position, {}):
        log.skip(place, f"the {kind} at {_show(position)} repeats an earlier one")
        return
    if not _is_quoted(record.text[start:end], match[1]):
        reason = f"the quotation is not what stands at {_show(position)}; the position was taken"
        log.repair(place, reason)
    entity = Entity(id=f"e{len(record.entities) + 1}", type=kind, start=start, end=end)
    record.entities.append(entity)
    record.by_position.setdefault(position, {})[kind] = entity.id


def _add_relation(record: _Record, match: re.Match[str], place: str, log: ReadLog) -> None:
    name = match[6]
    positions = (_position(match, 2), _position(match, 8))
    found = [record.by_position.get(position, {}) for position in positions]
    absent = next((p for p, ids in zip(positions, found, strict=True) if not ids), None)
    if absent is not None:
        log.lose(place, f"{name} names a concept at {_show(absent)}, which was not read")
        return
    first = _FIRST_TYPE.get(name[:2])
    if first is not None and first not in found[0] and first in found[1] and "problem" in found[0]:
        log.repair(place, f"{name} names the problem first; it was turned round")
        found.reverse()
    if first is None:
        ends = [_only(ids) for ids in found]
    else:
        ends = [_choose(found[0], first), _choose(found[1], "problem")]
    if None in ends:
        log.lose(place, f"{name} names a place with concepts of several types; unclear which")
        return
    relation = Relation(type=name, head=str(ends[0]), tail=str(ends[1]))
    if relation in record.relations:
        log.skip(place, f"{name} repeats an earlier line")
    record.relations[relation] = None


def _choose(ids: dict[str, str], wanted: str) -> str | None:
    """Return the concept of the wanted type, or the only one there is."""
    return ids[wanted] if wanted in ids else _only(ids)


def _only(ids: dict[str, str]) -> str | None:
    return next(iter(ids.values())) if len(ids) == 1 else None


def _show(position: _Position) -> str:
    return "{}:{} {}:{}".format(*position)
