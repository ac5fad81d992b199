"""Documents and their sentences."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from annotator.domain import Sentence
from annotator.errors import ConflictError
from annotator.store.clock import now
from annotator.store.origins import present_origin
from annotator.store.rows import from_row
from db.in_values import in_values
from db.inserts import insert_many
from db.tables import AnnotationRow, DocumentRow, ImportRow, ProjectRow, SentenceRow, TaskRow

__all__ = [
    "NewDocument",
    "StoredDocument",
    "StoredPlace",
    "StoredSentence",
    "add_documents",
    "count_documents",
    "count_rows_of",
    "count_sentences",
    "documents_without_task",
    "find_document",
    "find_sentence",
    "hash_text",
    "iter_documents",
    "keep_shown",
    "known_documents",
    "sentences_of",
    "sentences_without_task",
    "shown_of",
    "stored_sentence",
    "withdrawn",
]

SHOWN = "shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A document about to be stored, with its sentences and their word counts.

    ``group`` is None where near-duplicates have not been searched for.
    """

    name: str
    text: str
    split: str
    meta: dict[str, Any]
    sentences: Sequence[tuple[Sentence, int]]
    group: str | None = None
    import_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document as stored."""

    id: int
    name: str
    text: str
    split: str
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlace:
    """The group of a stored document and its side of the split."""

    id: int
    group: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSentence:
    """A sentence as stored, with its text. Offsets count in the document.

    ``tokens`` (offsets from the sentence's start) are set if the document came with its own.
    """

    id: int
    document_id: int
    document: str
    split: str
    ordinal: int
    start: int
    end: int
    n_words: int
    text: str
    text_hash: str
    tokens: tuple[tuple[int, int], ...] | None = None


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal; lone surrogates are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def find_document(session: Session, project_id: int, name: str) -> StoredDocument | None:
    """Return the document called ``name``, or None."""
    row = session.scalar(
        select(DocumentRow).where(DocumentRow.project_id == project_id, DocumentRow.name == name)
    )
    return None if row is None else from_row(StoredDocument, row)


def known_documents(
    session: Session, project_id: int, names: Sequence[str]
) -> dict[str, StoredPlace]:
    """Return where the documents stand that have these names already, by name."""
    rows = session.execute(
        select(DocumentRow.name, DocumentRow.id, DocumentRow.group_key, DocumentRow.split).where(
            DocumentRow.project_id == project_id,
            in_values(session, DocumentRow.name, sorted(set(names))),
        )
    )
    return {row[0]: StoredPlace(id=row[1], group=row[2] or row[0], split=row[3]) for row in rows}


def keep_shown(session: Session, document_id: int, shown: Any) -> None:
    """Store what Label Studio shows of a document if it is not plain text: turns or markup."""
    row = session.get_one(DocumentRow, document_id)
    if row.meta.get(SHOWN) != shown:
        row.meta = {**row.meta, SHOWN: shown}


def shown_of(session: Session, document_id: int) -> Any:
    """Return what ``keep_shown`` stored, or None."""
    return session.get_one(DocumentRow, document_id).meta.get(SHOWN)


def add_documents(
    session: Session, project_id: int, documents: Sequence[NewDocument]
) -> list[tuple[int, bool]]:
    """Store documents with their sentences; one of the same name and text is left as it is.

    Returns:
        The id of each, and True if it is new. Of two equal ones the second is not new.

    Raises:
        ConflictError: if a document of the same name has another text.
    """
    found = session.execute(
        select(DocumentRow.name, DocumentRow.id, DocumentRow.text_hash).where(
            DocumentRow.project_id == project_id,
            in_values(session, DocumentRow.name, sorted({d.name for d in documents})),
        )
    )
    known = {name: (document_id, digest) for name, document_id, digest in found}
    new: dict[str, NewDocument] = {}
    digests: dict[str, str] = {}
    is_new: list[bool] = []
    for document in documents:
        digest = hash_text(document.text)
        is_new.append(document.name not in known and document.name not in new)
        if is_new[-1]:
            new[document.name], digests[document.name] = document, digest
        elif digest != (digests.get(document.name) or known[document.name][1]):
            raise ConflictError(
                f"document {document.name} is stored with another text; give the new one "
                "another id, or import into a new project"
            )
    ids = {name: document_id for name, (document_id, _) in known.items()}
    ids |= _insert_documents(session, project_id, new, digests)
    return [(ids[d.name], fresh) for d, fresh in zip(documents, is_new, strict=True)]


def _insert_documents(
    session: Session,
    project_id: int,
    documents: Mapping[str, NewDocument],
    digests: Mapping[str, str],
) -> dict[str, int]:
    if not documents:
        return {}
    at = now(session)
    given = [
        {
            "project_id": project_id,
            "name": name,
            "text": document.text,
            "text_hash": digests[name],
            "split": document.split,
            "group_key": document.group,
            "meta": document.meta,
            "created_at": at,
            "import_id": document.import_id,
        }
        for name, document in documents.items()
    ]
    insert_many(session, DocumentRow, given)
    places = known_documents(session, project_id, list(documents))
    by_name = {name: place.id for name, place in places.items()}
    rows = [
        {
            "project_id": project_id,
            "document_id": by_name[name],
            "ordinal": ordinal,
            "start": sentence.start,
            "end": sentence.end,
            "n_words": n_words,
            "text_hash": hash_text(document.text[sentence.start : sentence.end]),
        }
        for name, document in documents.items()
        for ordinal, (sentence, n_words) in enumerate(document.sentences)
    ]
    insert_many(session, SentenceRow, rows)
    return by_name


def stored_sentence(row: SentenceRow, document: DocumentRow) -> StoredSentence:
    """Join a sentence's row with its document's (store-internal)."""
    own = document.meta.get("tokens")
    tokens = None
    if isinstance(own, list):
        first = bisect_left(own, row.start, key=itemgetter(0))
        stop = bisect_right(own, row.end, key=itemgetter(1))
        tokens = tuple((a - row.start, b - row.start) for a, b in own[first:stop])
    return StoredSentence(
        id=row.id,
        document_id=row.document_id,
        document=document.name,
        split=document.split,
        ordinal=row.ordinal,
        start=row.start,
        end=row.end,
        n_words=row.n_words,
        text=document.text[row.start : row.end],
        text_hash=row.text_hash,
        tokens=tokens,
    )


def sentences_of(
    session: Session, document_id: int, *, ordinals: tuple[int, int] | None = None
) -> list[StoredSentence]:
    """Return a document's sentences in order, or those from the first to the last ordinal."""
    document = session.get_one(DocumentRow, document_id)
    query = select(SentenceRow).where(SentenceRow.document_id == document_id)
    if ordinals is not None:
        query = query.where(SentenceRow.ordinal.between(*ordinals))
    rows = session.scalars(query.order_by(SentenceRow.ordinal))
    return [stored_sentence(row, document) for row in rows]


def find_sentence(
    session: Session, project_id: int, *, document: str, start: int
) -> StoredSentence | None:
    """Return the sentence of ``document`` that begins at ``start``, or None."""
    found = session.execute(
        select(SentenceRow, DocumentRow)
        .join(DocumentRow, DocumentRow.id == SentenceRow.document_id)
        .where(
            DocumentRow.project_id == project_id,
            DocumentRow.name == document,
            SentenceRow.start == start,
        )
    ).first()
    return None if found is None else stored_sentence(found[0], found[1])


def withdrawn() -> Select[int]:
    """Select the ids of documents whose import was undone (store-internal)."""
    document = aliased(DocumentRow)
    undone = select(ImportRow.id).where(ImportRow.undone_at.is_not(None))
    return select(document.id).where(document.import_id.in_(undone))


def sentences_without_task(
    session: Session, project_id: int, *, after: int = 0, limit: int
) -> list[StoredSentence]:
    """Return sentences not yet labelled or shown by a task, by ascending id above ``after``."""
    alone = select(TaskRow.id).where(
        TaskRow.sentence_id == SentenceRow.id, TaskRow.origin_id == present_origin(project_id)
    )
    within = select(TaskRow.document_id).where(
        TaskRow.origin_id == present_origin(project_id), TaskRow.sentence_id.is_(None)
    )
    decided = select(AnnotationRow.id).where(
        AnnotationRow.document_id == SentenceRow.document_id,
        AnnotationRow.is_current,
        AnnotationRow.state != "deleted",
        AnnotationRow.region_start <= SentenceRow.start,
        AnnotationRow.region_end >= SentenceRow.end,
    )
    rows = session.scalars(
        select(SentenceRow)
        .where(
            SentenceRow.project_id == project_id,
            SentenceRow.id > after,
            ~alone.exists(),
            SentenceRow.document_id.not_in(within),
            ~decided.exists(),
            SentenceRow.document_id.not_in(withdrawn()),
        )
        .order_by(SentenceRow.id)
        .limit(limit)
    ).all()
    # Not joined: the text of a long document would come with each of its sentences.
    ids = sorted({row.document_id for row in rows})
    found = session.scalars(select(DocumentRow).where(in_values(session, DocumentRow.id, ids)))
    documents = {document.id: document for document in found}
    return [stored_sentence(row, documents[row.document_id]) for row in rows]


def documents_without_task(
    session: Session, project_id: int, *, after: int = 0, limit: int
) -> list[StoredDocument]:
    """Return documents not yet labelled or made a task, by ascending id above ``after``."""
    has_task = select(TaskRow.id).where(
        TaskRow.document_id == DocumentRow.id, TaskRow.origin_id == present_origin(project_id)
    )
    decided = select(AnnotationRow.id).where(
        AnnotationRow.document_id == DocumentRow.id,
        AnnotationRow.is_current,
        AnnotationRow.state != "deleted",
    )
    rows = session.scalars(
        select(DocumentRow)
        .where(
            DocumentRow.project_id == project_id,
            DocumentRow.id > after,
            ~has_task.exists(),
            ~decided.exists(),
            DocumentRow.id.not_in(withdrawn()),
        )
        .order_by(DocumentRow.id)
        .limit(limit)
    )
    return [from_row(StoredDocument, row) for row in rows]


def count_documents(session: Session, project_id: int) -> dict[str, int]:
    """Count documents by split, without those whose import was undone."""
    rows = session.execute(
        select(DocumentRow.split, func.count())
        .where(DocumentRow.project_id == project_id, DocumentRow.id.not_in(withdrawn()))
        .group_by(DocumentRow.split)
    )
    return {"train": 0, "holdout": 0} | {row[0]: row[1] for row in rows}


def count_sentences(session: Session, project_id: int) -> int:
    """Count the sentences of a project, without those of documents whose import was undone."""
    gone = select(func.count()).where(
        SentenceRow.project_id == project_id, SentenceRow.document_id.in_(withdrawn())
    )
    n = session.scalar(gone)
    return count_rows_of(session, project_id, SentenceRow) - int(n or 0)


def count_rows_of(
    session: Session, project_id: int, table: type[SentenceRow] | type[TaskRow]
) -> int:
    """Count the rows of a project (store-internal).

    With a single project all rows are its own, which SQLite counts ten times as fast.
    """
    query = select(func.count()).select_from(table)
    others = select(ProjectRow.id).where(ProjectRow.id != project_id).limit(1)
    if session.scalar(others) is not None:
        query = query.where(table.project_id == project_id)
    return session.scalar(query) or 0


def iter_documents(session: Session, project_id: int) -> Iterator[StoredDocument]:
    """Yield all documents, streamed."""
    rows = session.scalars(
        select(DocumentRow)
        .where(DocumentRow.project_id == project_id)
        .order_by(DocumentRow.id)
        .execution_options(yield_per=500)
    )
    for row in rows:
        yield from_row(StoredDocument, row)
