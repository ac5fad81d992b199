"""What readers return and writers report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from annotator.domain import Document
from annotator.text import AlignmentIssue

__all__ = ["Corpus", "ReadLog", "ReadReport", "Reader", "SkippedItem", "WriteReport", "Writer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedItem:
    """Something left out or repaired on reading.

    ``place`` is ``file:line``, a file or an id, never text. ``unreadable`` tells what could not be
    read from what this program leaves out on purpose, such as notes.
    """

    place: str
    reason: str
    unreadable: bool = field(default=False, compare=False)


@dataclass(slots=True, kw_only=True)
class ReadLog:
    """What a reader skipped, repaired and could not read so far.

    ``unread`` counts labels by the id of their document. ``document`` is the one being read.
    """

    skipped: list[SkippedItem] = field(default_factory=list)
    repaired: list[SkippedItem] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    document: str | None = None

    def of(self, document: str) -> ReadLog:
        """Return this log, taking notes on the document of that id."""
        return replace(self, document=document)

    def skip(self, place: str, reason: str) -> None:
        """Record that something was left out on purpose."""
        self.skipped.append(SkippedItem(place=place, reason=reason))

    def lose(self, place: str, reason: str, *, n_labels: int = 1) -> None:
        """Record that something could not be read: ``n_labels`` labels, if in a document."""
        self.skipped.append(SkippedItem(place=place, reason=reason, unreadable=True))
        if self.document is not None:
            self.unread[self.document] += n_labels

    def repair(self, place: str, reason: str) -> None:
        """Record that something was kept, but changed."""
        self.repaired.append(SkippedItem(place=place, reason=reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """What a reader found.

    Attributes:
        skipped: What is not in the corpus.
        repaired: What is in the corpus, but changed.
        unread: By document id, how many entities and relations the file has and the document has
            not, because they could not be read. Documents without such labels are not in it.
    """

    format: str
    n_documents: int
    n_entities: int
    n_relations: int
    skipped: tuple[SkippedItem, ...] = ()
    repaired: tuple[SkippedItem, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Documents in source order, and the report on reading them."""

    documents: tuple[Document, ...]
    report: ReadReport

    @classmethod
    def build(cls, name: str, documents: Iterable[Document], log: ReadLog) -> Corpus:
        """Build the corpus and its report from ``documents`` read in the format ``name``."""
        kept = tuple(documents)
        report = ReadReport(
            format=name,
            n_documents=len(kept),
            n_entities=sum(len(document.entities) for document in kept),
            n_relations=sum(len(document.relations) for document in kept),
            skipped=tuple(log.skipped),
            repaired=tuple(log.repaired),
            unread={d.id: log.unread[d.id] for d in kept if log.unread[d.id]},
        )
        return cls(documents=kept, report=report)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReport:
    """What a writer wrote. The counts cover what is in the files, the issues what is not."""

    files: tuple[Path, ...]
    n_documents: int
    n_sentences: int
    n_entities: int
    n_relations: int
    issues: tuple[AlignmentIssue, ...] = ()


class Reader(Protocol):
    """Reads a file or folder of one format."""

    def __call__(self, path: Path) -> Corpus:
        """Return the corpus at ``path``.

        Raises:
            InputError: naming ``file:line``, what was expected and what was found.
        """
        ...


class Writer(Protocol):
    """Writes documents to a folder in one format."""

    def __call__(
        self,
        documents: Iterable[Document],
        out: Path,
        *,
        splits: Mapping[str, str] | None = None,
    ) -> WriteReport:
        """Write ``documents`` below ``out``; ``splits`` maps document ids to split names.

        Raises:
            InputError: if two documents share an id or something cannot be written at all.
        """
        ...
