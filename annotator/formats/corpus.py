"""What readers return and writers report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from annotator.domain import Document
from annotator.errors import InputError
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

    def of(self, document: str | None) -> ReadLog:
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

    @contextmanager
    def forgive(self, place: str, *, n_labels: int = 1) -> Iterator[None]:
        """Record an InputError raised inside as a loss, and go on behind."""
        try:
            yield
        except InputError as error:
            self.note(error, place, n_labels=n_labels)

    def note(self, error: InputError, place: str, *, n_labels: int = 1) -> None:
        """Record an error as a loss at ``place``, or where in it the message says."""
        reason = str(error)
        if reason.startswith(place):
            inner, _, reason = reason.removeprefix(place).partition(": ")
            place += inner
        self.lose(place, reason, n_labels=n_labels)

    def add(self, document: Document, documents: dict[str, Document], *, place: str) -> None:
        """Put ``document`` into ``documents``, or record that its id is taken.

        Of two that differ neither is known to be right: the labels of the second are unread.
        """
        first = documents.setdefault(document.id, document)
        if first is document:
            return
        reason = f"the id {document.id} is taken by an earlier document"
        if first == document:
            self.skip(place, f"{reason} that is the same")
        else:
            n_labels = len(document.entities) + len(document.relations)
            self.of(document.id).lose(place, f"{reason}; give it its own", n_labels=n_labels)

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
