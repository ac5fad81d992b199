"""Adapting an encoder to the text of files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from annotator.domain import TaggedSentence
from annotator.formats import read_corpus
from annotator.text import align_document
from annotator.training import (
    AdaptationProgress,
    AdaptationResult,
    AdaptationSettings,
    TextSource,
    adapt,
)

__all__ = ["adapt_to_files", "read_sources"]


def read_sources(fmt: str, paths: Sequence[Path]) -> tuple[list[TaggedSentence], list[TextSource]]:
    """Read the sentences of files or folders of one format, with a description of each source.

    Raises:
        InputError: if there is no such format, or a file is not in it.
    """
    sentences: list[TaggedSentence] = []
    sources: list[TextSource] = []
    for path in paths:
        documents = read_corpus(fmt, path).documents
        found = [s for document in documents for s in align_document(document).sentences]
        sentences += found
        sources.append(
            TextSource(
                name=path.name,
                format=fmt,
                sha256=_hash_path(path),
                n_documents=len(documents),
                n_sentences=len(found),
            )
        )
    return sentences, sources


def _hash_path(path: Path) -> str:
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            digest.update(f"{file.relative_to(path)} {_hash_path(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def adapt_to_files(
    fmt: str,
    paths: Sequence[Path],
    *,
    encoder: str,
    settings: AdaptationSettings,
    folder: Path,
    device: str | torch.device = "cpu",
    on_progress: Callable[[AdaptationProgress], None] | None = None,
) -> AdaptationResult:
    """Adapt ``encoder`` to the text of ``paths`` and write it, with a card, to ``folder``.

    The other arguments are those of ``annotator.training.adapt``.

    Raises:
        InputError: if there is no such format, or a file is not in it.
        ConfigError: if ``folder`` holds something else.
        TrainingError: if there is no text to learn from, or the loss is not finite.
        ModelError: if the encoder cannot be loaded, or its family guesses no masked words.
    """
    sentences, sources = read_sources(fmt, paths)
    return adapt(
        sentences,
        encoder=encoder,
        settings=settings,
        folder=folder,
        device=device,
        on_progress=on_progress,
        sources=sources,
    )
