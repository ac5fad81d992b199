"""The card of a model version: training data, scores, and what it is not for."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
import transformers

import annotator
from annotator.domain import TaggedSentence
from annotator.services.models.snapshot import RunPlan
from annotator.store.database import Database
from annotator.store.projects import audit_lines
from annotator.store.runs import Run, get_run, run_to_json
from annotator.store.snapshots import get_snapshot, snapshot_sources
from annotator.store.versions import get_version, version_to_json
from annotator.text import describe_left_out
from annotator.training import Decision, TrainingSettings

__all__ = ["describe_version", "write_card"]

_USE = """
## What it is for

It proposes entities and relations to people who check each of them, and it orders what they look
at next. It was made from the gold of one project, and its scores hold for text like that of its
hold-out.

## What it is not for

It is not a medical device and decides nothing about a patient. Text of another kind, institution
or language needs scores of its own: `annotator evaluate --data`. It finds no nested or overlapping
entities and no relations between sentences. Hold-out tasks that were labelled with predictions on
the screen may flatter it. It has learnt from the project's text, and what it learnt may show in
what it predicts: treat its files with the care that the text asks for.
"""


def write_card(
    folder: Path,
    *,
    name: str,
    plan: RunPlan,
    metrics: Mapping[str, Any],
    decision: Decision,
    run: Run,
    encoder: str,
    device: str,
    training: TrainingSettings,
) -> None:
    """Write ``metrics.json`` and ``README.md`` beside the weights."""
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    lines = [
        f"# {name}",
        "",
        "A joint model of entities and relations (Giorgi et al. 2019), trained by `annotator`.",
        "",
        f"- Encoder: `{encoder}`",
        f"- Snapshot: `{plan.snapshot.digest}` ({len(plan.snapshot.members)} annotations)",
        f"- Run {run.id}, started by {run.trigger}; attempt {run.attempts}",
        f"- Started from {_origin(run)}",
        f"- Gate: {'; '.join(decision.reasons)}",
        "",
        *_data(plan),
        *_scores(metrics, "ner", "Entities"),
        *_scores(metrics, "re", "Relations"),
        *_calibration(metrics),
        *_making(device, training),
        _USE,
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _data(plan: RunPlan) -> list[str]:
    parts = {"training": plan.train, "dev": plan.dev, "test": plan.test}
    counts = {name: _count(sentences) for name, sentences in parts.items()}
    schema = plan.snapshot.schema
    lines = [
        "## Data",
        "",
        "The hold-out was drawn at random by group (source and near-duplicates). Dev fits the",
        "temperatures, test judges; neither was learnt from.",
        "",
        "| | training | dev | test |",
        "|---|---|---|---|",
        _row("sentences", [len(s) for s in parts.values()]),
        _row("groups", [len({s.group for s in sentences}) for sentences in parts.values()]),
        _row("words", [sum(len(s.words) for s in sentences) for sentences in parts.values()]),
    ]
    for kind, types in (("entity", schema.entity_types), ("relation", schema.relation_types)):
        lines += [
            _row(f"{kind} {type_}", [counts[part][kind, type_] for part in parts])
            for type_ in types
        ]
    return [
        *lines,
        "",
        f"Labels that the model cannot express and did not see: {plan.n_left_out} of "
        f"{plan.n_labels}{_why(plan)}.",
        "",
    ]


def _why(plan: RunPlan) -> str:
    if not plan.n_left_out:
        return ""
    left_out = (
        f"; {plan.n_incomplete} sentences are left out with them" if plan.n_incomplete else ""
    )
    return f" ({describe_left_out(plan.left_out)}{left_out})"


def _count(sentences: Sequence[TaggedSentence]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for sentence in sentences:
        found.update(("entity", entity.type) for entity in sentence.entities)
        found.update(("relation", relation.type) for relation in sentence.relations)
    return found


def _row(title: str, values: Sequence[object]) -> str:
    return f"| {title} | " + " | ".join(str(value) for value in values) + " |"


def _scores(metrics: Mapping[str, Any], head: str, title: str) -> list[str]:
    if not metrics["n_sentences"]:
        return [f"## {title}", "", "Not measured: there was no hold-out.", ""]
    what = "type and both ends" if head == "ner" else "type and both of its entities"
    lines = [
        f"## {title}",
        "",
        f"Strict ({what}), in per cent, on {metrics['n_sentences']} test sentences.",
        "",
        "| | precision | recall | F1 | gold |",
        "|---|---|---|---|---|",
    ]
    layer = metrics[head]
    for name in ("micro", "macro", "boundary"):
        lines.append(_score_row(name, layer[name], ""))
    lines += [_score_row(name, scores, scores["n"]) for name, scores in layer["types"].items()]
    return [*lines, ""]


def _score_row(name: str, scores: Mapping[str, float], n: object) -> str:
    return _row(name, [*(f"{scores[key]:.1f}" for key in ("p", "r", "f1")), n])


def _calibration(metrics: Mapping[str, Any]) -> list[str]:
    lines = ["## Confidence", ""]
    if not metrics["n_dev"]:
        lines += [
            "No temperature was fitted: the hold-out is too small to spare a part for it.",
            "",
        ]
    if not metrics["n_sentences"]:
        return lines
    lines += [
        "Expected calibration error on the test sentences, 0 is best.",
        "",
        "| | temperature | before | after |",
        "|---|---|---|---|",
    ]
    for head, title in (("ner", "entities"), ("re", "relations")):
        found = metrics["calibration"][head]
        values = [f"{found[key]:.3f}" for key in ("temperature", "ece_before", "ece_after")]
        lines.append(_row(title, values))
    return [*lines, ""]


def _making(device: str, training: TrainingSettings) -> list[str]:
    versions = {
        "annotator": annotator.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
    }
    return [
        "## How it was made",
        "",
        f"- Device: {device}; seed {training.seed}",
        "- Settings: " + ", ".join(f"{k}={v}" for k, v in training.to_json().items()),
        "- Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()),
        "- `run.json` says the same of the run; the database has each label of the snapshot.",
    ]


def _origin(run: Run) -> str:
    before = run.settings.get("start_from")
    if before is None:
        return "the pre-trained encoder (from scratch)"
    return f"`{before}`, its weights shrunk (warm start; Ash & Adams 2020)"


def describe_version(database: Database, project_id: int, name: str) -> dict[str, Any]:
    """Return a version as plain JSON values; never contains document text.

    In addition to the fields of a version list: ``snapshot`` (training data by source and side),
    ``run``, ``made`` (the run's own file), ``files`` (None once they are deleted), ``card``, and
    ``audit``.

    Raises:
        NotFoundError: if there is no such version.
    """
    with database.read() as session:
        version = get_version(session, project_id, name)
        run = get_run(session, version.run_id)
        snapshot = get_snapshot(session, version.snapshot_id)
        sources = snapshot_sources(session, version.snapshot_id)
        lines = [
            line
            for line in audit_lines(session, project_id)
            if name in (line["detail"].get("version"), line["detail"].get("before"))
        ]
    folder = Path(version.folder)
    return {
        **version_to_json(version),
        "snapshot": {
            "id": snapshot.id,
            "digest": snapshot.digest,
            "n_annotations": len(snapshot.members),
            "n_sentences": snapshot.n_sentences,
            "sources": sources,
            "entity_types": list(snapshot.schema.entity_types),
            "relation_types": list(snapshot.schema.relation_types),
        },
        "run_details": {**run_to_json(run), "force": run.force, "settings": dict(run.settings)},
        "made": _read_json(folder / "run.json"),
        "files": _files(folder),
        "card": _read_text(folder / "README.md"),
        "audit": lines,
    }


def _files(folder: Path) -> dict[str, Any] | None:
    if not folder.is_dir():
        return None
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return {"folder": str(folder), "n": len(sizes), "size_bytes": sum(sizes)}


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # deleted, or the version was made elsewhere
        return None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
