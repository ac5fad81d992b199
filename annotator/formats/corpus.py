"""What readers return and writers report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from annotator.domain import Document
from annotator.text import AlignmentIssue

__all__ = ["Corpus", "ReadLog", "ReadReport", "Reader", "SkippedItem", "WriteReport", "Writer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedItem:
    """Something left out or repaired on reading.

    ``place`` is ``file:line``, a file or an id, never text.
    """

    place: str
    reason: str


@dataclass(slots=True, kw_only=True)
class ReadLog:
    """What a reader skipped and repaired so far."""

    skipped: list[SkippedItem] = field(default_factory=list)
    repaired: list[SkippedItem] = field(default_factory=list)

    def skip(self, place: str, reason: str) -> None:
        """Record that something was left out."""
        self.skipped.append(SkippedItem(place=place, reason=reason))

    def repair(self, place: str, reason: str) -> None:
        """Record that something was kept, but changed."""
        self.repaired.append(SkippedItem(place=place, reason=reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """What a reader found. ``skipped`` is not in the corpus; ``repaired`` is, but changed."""

    format: str
    n_documents: int
    n_entities: int
    n_relations: int
    skipped: tuple[SkippedItem, ...] = ()
    repaired: tuple[SkippedItem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Documents in source order, and the report on reading them."""

    documents: tuple[Document, ...]
    report: ReadReport

    @classmethod
    def build(
        cls,
        name: str,
        documents: Iterable[Document],
        *,
        skipped: Iterable[SkippedItem] = (),
        repaired: Iterable[SkippedItem] = (),
    ) -> Corpus:
        """Build the corpus and its report from ``documents`` read in the format ``name``."""
        kept = tuple(documents)
        report = ReadReport(
            format=name,
            n_documents=len(kept),
            n_entities=sum(len(document.entities) for document in kept),
            n_relations=sum(len(document.relations) for document in kept),
            skipped=tuple(skipped),
            repaired=tuple(repaired),
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
