"""The ADE corpus (ADE-Corpus-V2): ``DRUG-AE.rel`` and the negatives ``ADE-NEG.txt``.

Entity types ``Drug`` and ``Adverse-Effect``; one relation type ``Adverse-Effect`` with
**head = effect, tail = drug**, as in SpERT's conversion (Giorgi's own file has it the other way).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError, OffsetError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_file, read_lines

__all__ = ["DRUG", "EFFECT", "RELATION", "read"]

DRUG = "Drug"
EFFECT = "Adverse-Effect"
RELATION = "Adverse-Effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mention:
    type: str
    text: str
    start: int  # into the abstract, which is not distributed
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    place: str
    effect: _Mention
    drug: _Mention


def read(path: Path) -> Corpus:
    """Read ``DRUG-AE.rel``, a folder that holds it, or ``ADE-NEG.txt`` (any ``*.txt``).

    A document is a sentence: ``ade-<n>`` in order of first appearance (SpERT's ``orig_id``), or
    ``ade-neg-<n>``; ``meta`` holds ``pmid`` and, to keep an abstract on one side of a split,
    ``group``. Offsets are shifted from the abstract to the sentence: exactly one shift must make
    every mention of the sentence match, over all its lines.

    A line that does not have its fields is lost, and so is a sentence whose mentions no shift, or
    more than one, makes match.

    Raises:
        InputError: if the file is ``DRUG-DOSE.rel``, which looks alike but holds dosages.
    """
    source = find_file(path, "DRUG-AE.rel")
    if source.name.upper() == "DRUG-DOSE.REL":
        raise InputError(
            f"{source.name} holds dosages, which would be read as adverse effects; "
            "give DRUG-AE.rel or ADE-NEG.txt"
        )
    return _read_negatives(source) if source.suffix.lower() == ".txt" else _read_relations(source)


def _read_relations(source: Path) -> Corpus:
    groups: dict[tuple[str, ...], list[_Row]] = {}
    broken: dict[tuple[str, ...], list[InputError]] = {}
    log = ReadLog()
    for number, line in read_lines(source, log):
        if line.strip():
            key = tuple(line.split("|")[:2])
            try:
                row = _parse_row(line, f"{source.name}:{number}")
            except InputError as error:
                broken.setdefault(key, []).append(error)
            else:
                groups.setdefault(key, []).append(row)
    documents = []
    for n, ((pmid, sentence), rows) in enumerate(groups.items()):
        with log.forgive(rows[0].place):
            documents.append(_build_document(f"ade-{n}", pmid, sentence, rows, log))
    names = {key: f"ade-{n}" for n, key in enumerate(groups)}
    for key, errors in broken.items():
        for found in errors:
            log.of(names.get(key)).note(found, source.name, n_labels=3)
    return Corpus.build("ade", documents, log)


def _read_negatives(source: Path) -> Corpus:
    documents: list[Document] = []
    log = ReadLog()
    for number, line in read_lines(source, log):
        if not line.strip():
            continue
        pmid, mark, sentence = (*line.split(" ", 2), "", "")[:3]
        if mark != "NEG" or not pmid.isdecimal() or not sentence.strip():
            log.lose(f"{source.name}:{number}", "expected 'PMID NEG sentence'")
            continue
        documents.append(
            Document(
                id=f"ade-neg-{len(documents)}",
                text=sentence,
                meta={"pmid": pmid, "group": pmid},
            )
        )
    return Corpus.build("ade", documents, log)


def _parse_row(line: str, place: str) -> _Row:
    fields = line.split("|")
    if len(fields) != 8:
        raise InputError(
            f"{place}: expected 8 fields separated by | (PMID, sentence, effect, begin, end, drug, "
            f"begin, end), found {len(fields)}"
        )
    if not fields[0] or not fields[1].strip():
        raise InputError(f"{place}: the PMID or the sentence is empty")
    return _Row(
        place=place,
        effect=_parse_mention(EFFECT, fields[2:5], place),
        drug=_parse_mention(DRUG, fields[5:8], place),
    )


def _parse_mention(name: str, fields: Sequence[str], place: str) -> _Mention:
    text, begin, end = fields
    if (
        not (begin.isdecimal() and end.isdecimal())
        or int(end) - int(begin) != len(text)
        or not text
    ):
        raise InputError(
            f"{place}: begin and end of the {name} must be whole numbers as far apart as the "
            f"mention is long ({len(text)})"
        )
    return _Mention(type=name, text=text, start=int(begin), end=int(end))


def _build_document(
    document_id: str, pmid: str, sentence: str, rows: list[_Row], log: ReadLog
) -> Document:
    mentions = dict.fromkeys(mention for row in rows for mention in (row.effect, row.drug))
    shift = _find_shift(sentence, mentions, rows[0].place)
    ordered = sorted(mentions, key=lambda mention: (mention.start, mention.end))
    entities = {
        mention: Entity(
            id=f"e{n}", type=mention.type, start=mention.start - shift, end=mention.end - shift
        )
        for n, mention in enumerate(ordered, start=1)
    }
    relations: dict[Relation, None] = {}
    for row in rows:
        relation = Relation(type=RELATION, head=entities[row.effect].id, tail=entities[row.drug].id)
        if relation in relations:
            log.skip(row.place, "repeats an earlier line")
        relations[relation] = None
    return Document(
        id=document_id,
        text=sentence,
        entities=tuple(entities.values()),
        relations=tuple(relations),
        meta={"pmid": pmid, "group": pmid},
    )


def _find_shift(sentence: str, mentions: Iterable[_Mention], place: str) -> int:
    """Return the offset of the sentence in its abstract."""
    possible: set[int] | None = None
    for mention in mentions:
        shifts = {mention.start - found for found in _occurrences(sentence, mention.text)}
        possible = shifts if possible is None else possible & shifts
    if not possible or len(possible) > 1:
        raise OffsetError(
            f"{place}: expected exactly one shift that brings every mention of this sentence to "
            f"its offsets, found {len(possible or ())}"
        )
    return possible.pop()


def _occurrences(text: str, mention: str) -> list[int]:
    found = []
    position = text.find(mention)
    while position >= 0:
        found.append(position)
        position = text.find(mention, position + 1)
    return found
