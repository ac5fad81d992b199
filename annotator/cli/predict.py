"""``annotator predict``: labels for a file, without Label Studio."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from annotator.cli.options import FormatOption, HomeOption, ModelOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import note_unreadable, open_project

__all__ = ["predict"]


def predict(
    path: Annotated[Path, typer.Argument(help="A file of documents.")],
    fmt: FormatOption = "jsonl",
    model: ModelOption = None,
    home: HomeOption = None,
) -> None:
    """Print documents with predicted entities and relations.

    One JSON object a line.

    Example: annotator predict notes.jsonl > predicted.jsonl
    """
    with open_project(home) as opened:
        from annotator.formats import document_to_json, read_corpus
        from annotator.services.inference.predictions import (
            labels_of_task,
            predict_sentences,
            segment_text,
        )

        version = opened.version(model)
        corpus = read_corpus(fmt, path)
        note_unreadable(corpus.report)
        documents = corpus.documents
        split = [segment_text(document) for document in documents]
        with progress_bar("predict") as advance:
            predictions = predict_sentences(
                opened.database,
                version.id,
                opened.predictor_of(version),
                (s for sentences in split for s in sentences),
                on_progress=lambda done, total: advance(done, total, ""),
            )
        for document, sentences in zip(documents, split, strict=True):
            entities, relations = labels_of_task(sentences, predictions)
            labelled = replace(document, entities=entities, relations=relations)
            typer.echo(json.dumps(document_to_json(labelled), ensure_ascii=False))
