"""The lines of a brat ``.ann`` file, and the labels they encode."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from annotator.domain import Entity, Relation
from annotator.errors import InputError
from annotator.formats.corpus import ReadLog
from annotator.formats.source import read_lines
from annotator.formats.standoff import Link, Mention, link_entities, place_mentions

__all__ = ["read_labels"]

_SPANS = re.compile(r"(\S+) ([0-9]{1,12} [0-9]{1,12}(?:;[0-9]{1,12} [0-9]{1,12})*)")
_ARGUMENTS = re.compile(r"(\S+) ([^\s:]+):(\S+) ([^\s:]+):(\S+)")
_OTHER_KINDS = {
    "*": "symmetric groups",
    "E": "events",
    "A": "attributes",
    "M": "attributes",
    "N": "normalisations",
    "#": "notes",
}


@dataclass(slots=True, kw_only=True)
class _Lines:
    """The parsed lines of one file, before they are checked against the text."""

    mentions: list[Mention] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    n_others: Counter[str] = field(default_factory=Counter)
    first_others: dict[str, str] = field(default_factory=dict)


def read_labels(
    source: Path, text: str, log: ReadLog
) -> tuple[tuple[Entity, ...], tuple[Relation, ...]]:
    """Read ``T`` and ``R`` lines, in any order; ids are kept.

    A mention in fragments is one span if only white space separates them, as where brat cuts at a
    line break; otherwise it is lost. ``Arg1`` of a relation is the head, wherever it stands; if
    the arguments have other names, the first is. Groups, events, attributes, normalisations and
    notes are left out, one item per kind; event triggers are read as entities. A line that is not
    as brat writes it is lost.
    """
    lines = _Lines()
    for number, line in read_lines(source, log):
        place = f"{source.name}:{number}"
        if line.strip():
            with log.forgive(place):
                _read_line(line, place, text, lines)
    for kind, count in lines.n_others.items():
        log.skip(lines.first_others[kind], f"{count} {kind} were left out; this is the first")
    entities = place_mentions(text, lines.mentions, log, file=source.name)
    return entities, link_entities(lines.links, {e.id: e.id for e in entities}, log)


def _read_line(line: str, place: str, text: str, lines: _Lines) -> None:
    columns = line.split("\t", 2)
    kind = line[0]
    if kind in _OTHER_KINDS:
        name = _OTHER_KINDS[kind]
        lines.n_others[name] += 1
        lines.first_others.setdefault(name, place)
    elif kind == "T":
        lines.mentions.append(_parse_mention(columns, place, text))
    elif kind == "R":
        lines.links.append(_parse_link(columns, place))
    else:
        raise InputError(f"{place}: expected a line that begins with T, R, E, A, M, N, # or *")


def _parse_mention(columns: list[str], place: str, text: str) -> Mention:
    match = _SPANS.fullmatch(columns[1].strip()) if len(columns) > 1 else None
    if match is None:
        raise InputError(f"{place}: expected an id, a tab, and a type with 'start end' offsets")
    spans = [tuple(map(int, span.split())) for span in match[2].split(";")]
    mention = columns[2] if len(columns) > 2 else ""
    if not mention and len(spans) > 1:
        mention = " ".join(text[start:end] for start, end in spans)
    return Mention(
        id=columns[0],
        type=match[1],
        start=min(start for start, _ in spans),
        end=max(end for _, end in spans),
        place=place,
        text=mention or None,
        n_fragments=len(spans),
    )


def _parse_link(columns: list[str], place: str) -> Link:
    match = _ARGUMENTS.fullmatch(columns[1].strip()) if len(columns) > 1 else None
    if match is None:
        raise InputError(f"{place}: expected an id, a tab, and a type with 'Arg1:id Arg2:id'")
    name, *arguments = match.groups()
    ends = [arguments[1], arguments[3]]
    if (arguments[0], arguments[2]) == ("Arg2", "Arg1"):
        ends.reverse()
    return Link(id=columns[0], type=name, head=ends[0], tail=ends[1], place=place)
