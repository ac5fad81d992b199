"""brat stand-off: ``X.txt`` and ``X.ann`` per document, and one ``annotation.conf``.

Offsets are code points, the end exclusive. A mention that spans a line break is written in
fragments, as brat requires. A document's file name is its id, percent-encoded where needed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from annotator.domain import Document, Entity, LabelSchema, Relation
from annotator.errors import InputError
from annotator.formats.brat_ann import read_labels
from annotator.formats.corpus import Corpus, ReadLog, WriteReport
from annotator.formats.output import OutputFolder
from annotator.formats.source import find_groups, read_text, split_named_by
from annotator.text import AlignmentIssue, IssueKind, count_words

__all__ = ["file_stem", "read", "write"]

_LINE_BREAKS = re.compile(r"[\r\n]+")
_TYPE = re.compile(r"[^\s:;,<>|]+")
_MAX_STEM = 180
_MARK = "\ufeff"


@dataclass(slots=True, kw_only=True)
class _Totals:
    n_documents: int = 0
    n_sentences: int = 0
    n_entities: int = 0
    n_relations: int = 0
    issues: list[AlignmentIssue] = field(default_factory=list)
    schema: LabelSchema = field(default_factory=lambda: LabelSchema(entity_types=()))


def read(path: Path) -> Corpus:
    """Read one document (given as ``X.txt`` or ``X.ann``), or all in and below a folder.

    The id is the name of the file, decoded where ``file_stem`` made it; ``meta["split"]`` is train,
    dev or test where a folder is so named. Entities keep their ids. A file without its partner is
    left out. See ``read_labels`` for which annotations are read.

    Raises:
        InputError: if there is no such file, or two documents have the same id.
    """
    root = path if path.is_dir() else path.parent
    log = ReadLog()
    documents: dict[str, Document] = {}
    for stem, files in find_groups(path, ".ann", ".txt").items():
        if len(files) == 1:
            _report_single(next(iter(files.values())), stem, log)
            continue
        if _document_id(stem.name) in documents:
            raise InputError(
                f"{files['.ann'].relative_to(root)}: another document below this folder is named "
                "so too; rename one, or read one folder at a time"
            )
        with log.forgive(stem.name):
            document = _read_document(_document_id(stem.name), files, root, log)
            documents[document.id] = document
    return Corpus.build("brat", documents.values(), log)


def _report_single(file: Path, stem: Path, log: ReadLog) -> None:
    if file.suffix.lower() == ".ann":
        log.lose(file.name, f"there is no {stem.name}.txt beside it")
    else:
        log.skip(file.name, "there is no .ann file beside it; read it as text")


def _read_document(name: str, files: Mapping[str, Path], root: Path, log: ReadLog) -> Document:
    source, text = files[".ann"], read_text(files[".txt"], log)
    entities, relations = read_labels(source, text, log.of(name))
    split = split_named_by(source, root=root)
    meta: dict[str, Any] = {} if split is None else {"split": split}
    return Document(id=name, text=text, entities=entities, relations=relations, meta=meta)


def _document_id(stem: str) -> str:
    """Invert ``file_stem``; return ``stem`` itself if that function never makes it."""
    try:
        found = unquote(stem, errors="surrogatepass")
    except UnicodeDecodeError:
        return stem
    made = {file_stem(found), file_stem(found, keep_capitals=False)}
    return found if stem in made else stem


def write(
    documents: Iterable[Document], out: Path, *, splits: Mapping[str, str] | None = None
) -> WriteReport:
    """Write a pair of files per document; documents of a split go to the folder of its name.

    Left out, each reported as an issue: relations without type or direction, types and spans that
    brat cannot write, and relations of entities left out. Entities are numbered ``T1`` … in order.

    Raises:
        InputError: if two documents share an id or a text cannot be written as UTF-8.
    """
    totals = _Totals()
    stems: set[str] = set()
    with OutputFolder(out, splits=splits) as output:
        for document in documents:
            split = output.admit(document)
            stem = file_stem(document.id)
            if stem.casefold() in stems:  # file systems that ignore case would mix them up
                stem = file_stem(document.id, keep_capitals=False)
            stems.add(stem.casefold())
            name = f"{split}/{stem}" if split else stem
            mark = _MARK if document.text.startswith(_MARK) else ""  # readers take one off
            output.write(f"{name}.txt", mark + document.text, document_id=document.id)
            lines = _format_document(document, totals)
            output.write(f"{name}.ann", lines, document_id=document.id)
            totals.n_documents += 1
            totals.n_sentences += len(count_words(document))
        output.write("annotation.conf", _format_configuration(totals.schema), document_id="")
    return WriteReport(
        files=output.files,
        n_documents=totals.n_documents,
        n_sentences=totals.n_sentences,
        n_entities=totals.n_entities,
        n_relations=totals.n_relations,
        issues=tuple(totals.issues),
    )


def file_stem(document_id: str, *, keep_capitals: bool = True) -> str:
    """Return a file name for ``document_id``, different for every id.

    Letters, digits, ``-``, ``_`` and inner dots stay, all else is percent-encoded; very long ids
    are cut and end in a hash.
    """
    stem = quote(document_id, safe="", errors="surrogatepass").replace("~", "%7E")
    if not keep_capitals:
        stem = re.sub(r"(?<!%)(?<!%.)[A-Z]", lambda match: f"%{ord(match.group()):02X}", stem)
    if stem.startswith("."):
        stem = "%2E" + stem[1:]
    if len(stem) > _MAX_STEM:
        digest = hashlib.sha256(document_id.encode("utf-8", "surrogatepass")).hexdigest()
        stem = f"{stem[:_MAX_STEM]}%-{digest[:32]}"
    return stem or "%-"


def _format_document(document: Document, totals: _Totals) -> str:
    lines: list[str] = []
    numbers: dict[str, str] = {}
    relations: list[Relation] = []
    for entity in document.entities:
        fragments = _fragments(document, entity)
        if fragments is None:
            detail = f"{entity.start}..{entity.end}: brat cannot write this type or span"
            _report(totals, document, "not_expressible", entity.id, detail)
            continue
        numbers[entity.id] = f"T{len(numbers) + 1}"
        spans = ";".join(f"{start} {end}" for start, end in fragments)
        mention = " ".join(document.text[start:end] for start, end in fragments)
        lines.append(f"{numbers[entity.id]}\t{entity.type} {spans}\t{mention}\n")
    for i, relation in enumerate(document.relations):
        problem = _relation_problem(relation, numbers)
        if problem is not None:
            detail = f"{relation.type} from {relation.head} to {relation.tail}"
            _report(totals, document, problem, f"relations[{i}]", detail)
            continue
        relations.append(relation)
        head, tail = numbers[relation.head], numbers[relation.tail]
        lines.append(f"R{len(relations)}\t{relation.type} Arg1:{head} Arg2:{tail}\t\n")
    kept = tuple(entity for entity in document.entities if entity.id in numbers)
    totals.n_entities += len(kept)
    totals.n_relations += len(relations)
    written = Document(
        id=document.id, text=document.text, entities=kept, relations=tuple(relations)
    )
    totals.schema = totals.schema.merge(LabelSchema.from_documents([written]))
    return "".join(lines)


def _report(
    totals: _Totals, document: Document, kind: IssueKind, item_id: str, detail: str
) -> None:
    totals.issues.append(
        AlignmentIssue(kind=kind, document_id=document.id, item_id=item_id, detail=detail)
    )


def _fragments(document: Document, entity: Entity) -> list[tuple[int, int]] | None:
    """Split an entity at line breaks; None if it begins or ends with one, or brat bars its type."""
    if not _TYPE.fullmatch(entity.type):
        return None
    start, fragments = entity.start, []
    for match in _LINE_BREAKS.finditer(document.text, entity.start, entity.end):
        fragments.append((start, match.start()))
        start = match.end()
    fragments.append((start, entity.end))
    return fragments if all(first < last for first, last in fragments) else None


def _relation_problem(relation: Relation, numbers: Mapping[str, str]) -> IssueKind | None:
    if relation.type is None:
        return "relation_unlabelled"
    if relation.bidirectional:
        return "relation_bidirectional"
    if relation.head not in numbers or relation.tail not in numbers:
        return "relation_lost_entity"
    return None if _TYPE.fullmatch(relation.type) else "not_expressible"


def _format_configuration(schema: LabelSchema) -> str:
    lines = ["[entities]", *schema.entity_types, "", "[relations]"]
    for name in schema.relation_types:
        pairs = [pair for pair in schema.pairs if pair[0] == name]
        heads = "|".join(sorted({head for _, head, _ in pairs}))
        tails = "|".join(sorted({tail for _, _, tail in pairs}))
        lines.append(f"{name}\tArg1:{heads}, Arg2:{tails}")
    return "\n".join([*lines, "", "[events]", "", "[attributes]", ""])
