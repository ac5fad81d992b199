"""``annotator evaluate``: strict scores of a model on a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.cli.options import FormatOption, HomeOption, JsonOption, ModelOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import emit, note_unreadable, open_project

if TYPE_CHECKING:
    from annotator.domain import TaggedSentence
    from annotator.model import Predictor, SentencePrediction
    from annotator.services.models.seen import TestText

__all__ = ["evaluate"]

_AT_ONCE = 512


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
        from annotator.services.models.seen import read_test_text
        from annotator.training import evaluate, evaluate_given_entities

        version = opened.version(model)
        corpus = read_corpus(fmt, data)
        note_unreadable(corpus.report)
        whole = [d for d in corpus.documents if d.id not in corpus.report.unread]
        test = read_test_text(opened.database, opened.project.id, version, whole)
        predictor = load_version(version, device=opened.settings.device)
        predicted = _predict(predictor, test.sentences)
        value = {**evaluate(test.sentences, predicted).to_json(), "model": version.name}
        value |= _apart(test, predicted)
        value["n_left_out"] = {
            "unread": len(corpus.documents) - len(whole),
            "incomplete": test.n_incomplete,
        }
        if gold_entities:
            value["re_given_entities"] = evaluate_given_entities(
                test.sentences, predictor
            ).to_json()
    emit(value, _lines(value), as_json=as_json)


def _predict(predictor: Predictor, sentences: Sequence[TaggedSentence]) -> list[SentencePrediction]:
    found: list[SentencePrediction] = []
    with progress_bar("evaluate", total=len(sentences)) as advance:
        for i in range(0, len(sentences), _AT_ONCE):
            found += predictor.predict(sentences[i : i + _AT_ONCE])
            advance(len(found), len(sentences), "")
    return found


def _apart(test: TestText, predicted: Sequence[SentencePrediction]) -> dict[str, Any]:
    """Score what the model has learnt from apart from the rest, and name what it cannot know."""
    from annotator.training import evaluate

    value: dict[str, Any] = {"unknown_types": [asdict(one) for one in test.unknown_types]}
    for name, is_seen in (("seen", True), ("unseen", False)):
        rows = [i for i, seen in enumerate(test.seen) if seen is is_seen]
        scores = evaluate([test.sentences[i] for i in rows], [predicted[i] for i in rows])
        value[name] = scores.to_json() | {"share": round(len(rows) / len(test.seen), 4)}
    return value


def _lines(value: Mapping[str, Any]) -> list[str]:
    lines = [f"{value['model']} on {value['n_sentences']} sentences (strict)", *_warnings(value)]
    titles = {"ner": "entities", "re": "relations", "re_given_entities": "given entities"}
    for task, title in ((task, title) for task, title in titles.items() if task in value):
        micro = value[task]["micro"]
        lines.append(f"{title:<14} P {micro['p']:.1f}  R {micro['r']:.1f}  F1 {micro['f1']:.1f}")
        lines += [
            f"  {name:<18} F1 {scores['f1']:.1f}" for name, scores in value[task]["types"].items()
        ]
    return lines


def _warnings(value: Mapping[str, Any]) -> list[str]:
    lines = []
    seen, unseen = value["seen"], value["unseen"]
    if seen["n_sentences"]:
        lines.append(
            f"warning: {value['model']} has learnt from {seen['n_sentences']} of these sentences "
            f"({seen['share']:.0%}) or near-duplicates"
        )
        lines += [
            f"  {title:<18} entities F1 {part['ner']['micro']['f1']:.1f}, relations F1 "
            f"{part['re']['micro']['f1']:.1f}"
            for title, part in (("learnt from", seen), ("new to it", unseen))
            if part["n_sentences"]
        ]
    if value["unknown_types"]:
        types = ", ".join(
            f"{one['name']} ({one['n']} labels"
            + (f", like the known {one['nearest']})" if one["nearest"] else ")")
            for one in value["unknown_types"]
        )
        lines.append(f"warning: types that {value['model']} does not know: {types}")
    left_out = value["n_left_out"]
    if left_out["unread"] or left_out["incomplete"]:
        lines.append(
            f"warning: left out, since not all labels can be read or expressed: documents "
            f"{left_out['unread']}, sentences {left_out['incomplete']}"
        )
    return lines
