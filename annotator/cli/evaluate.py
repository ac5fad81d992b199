"""``annotator evaluate``: strict scores of a model on a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotator.cli.options import FormatOption, HomeOption, JsonOption, ModelOption
from annotator.cli.project import emit, note_unreadable, open_project

__all__ = ["evaluate"]


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Gold documents.")],
    fmt: FormatOption = "jsonl",
    model: ModelOption = None,
    gold_entities: Annotated[
        bool,
        typer.Option(
            "--gold-entities", help="Also score the relations found among the gold entities."
        ),
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a model on gold documents, strictly.

    An entity counts if its type and both ends are right, a relation if its type and both its
    entities are.

    Example: annotator evaluate --data test.jsonl
    """
    with open_project(home) as opened:
        from annotator.formats import read_corpus
        from annotator.services.inference.versions import load_version
        from annotator.services.models.scores import evaluate_version
        from annotator.text import align_document
        from annotator.training import evaluate_given_entities

        version = opened.version(model)
        corpus = read_corpus(fmt, data)
        note_unreadable(corpus.report)
        sentences = [s for d in corpus.documents for s in align_document(d).sentences]
        predictor = load_version(version, device=opened.settings.device)
        value = {**evaluate_version(predictor, sentences).to_json(), "model": version.name}
        if gold_entities:
            value["re_given_entities"] = evaluate_given_entities(sentences, predictor).to_json()
    lines = [f"{version.name} on {value['n_sentences']} sentences (strict)"]
    titles = {"ner": "entities", "re": "relations", "re_given_entities": "given entities"}
    for task, title in ((task, title) for task, title in titles.items() if task in value):
        micro = value[task]["micro"]
        lines.append(f"{title:<14} P {micro['p']:.1f}  R {micro['r']:.1f}  F1 {micro['f1']:.1f}")
        lines += [
            f"  {name:<18} F1 {scores['f1']:.1f}" for name, scores in value[task]["types"].items()
        ]
    emit(value, lines, as_json=as_json)
