"""The card of a model version: what it learnt from, how good it is, what it is not for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotator.services.plan import RunPlan
from annotator.store.runs import Run
from annotator.training import Decision

__all__ = ["write_card"]


def write_card(
    folder: Path,
    *,
    name: str,
    plan: RunPlan,
    metrics: Mapping[str, Any],
    decision: Decision,
    run: Run,
) -> None:
    """Write ``metrics.json`` and ``README.md`` beside the weights."""
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    lines = [
        f"# {name}",
        "",
        "A joint model of entities and relations (Giorgi et al. 2019), trained by `annotator`.",
        "",
        f"- Training sentences: {len(plan.train)}; hold-out sentences: {len(plan.holdout)}",
        f"- Snapshot: `{plan.snapshot.digest}`; run {run.id}, started by {run.trigger}",
        f"- Started from {_origin(run)}",
        f"- Labels that the model cannot express and did not see: {plan.n_left_out}",
        f"- Entity types: {', '.join(plan.snapshot.schema.entity_types)}",
        f"- Relation types: {', '.join(plan.snapshot.schema.relation_types) or 'none'}",
        f"- Gate: {'; '.join(decision.reasons)}",
        "",
        "Strict scores on the hold-out (type and both ends; a relation with both its entities):",
        "",
        "| | precision | recall | F1 |",
        "|---|---|---|---|",
    ]
    for task, title in (("ner", "entities"), ("re", "relations")):
        micro = metrics[task]["micro"]
        lines.append(f"| {title} | {micro['p']:.1f} | {micro['r']:.1f} | {micro['f1']:.1f} |")
    lines += [
        "",
        "It proposes labels to people who check them. It is not a medical device, and its scores",
        "hold for text like that of its hold-out only.",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _origin(run: Run) -> str:
    before = run.settings.get("start_from")
    if before is None:
        return "the pre-trained encoder (from scratch)"
    return f"`{before}`, its weights shrunk (warm start; Ash & Adams 2020)"
