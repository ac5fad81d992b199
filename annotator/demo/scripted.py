"""An annotator that knows the answers: corrects what the model proposed, as a person would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.demo.notes import DemoCorpus
from annotator.domain import Entity, Relation
from annotator.errors import StudioError
from annotator.studio.client import StudioClient
from annotator.studio.codec import labels_to_result
from annotator.studio.config import LabelConfig

__all__ = ["LabelledTask", "label_next", "merge_regions"]

_READING_S, _WORD_S, _EDIT_S = 2.0, 0.3, 3.0  # a plausible lead time


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTask:
    """A task that was labelled: its score in the queue and the resulting annotation."""

    task: int
    score: float | None
    version: str | None
    annotation: int
    n_entities: int
    n_relations: int


def label_next(
    client: StudioClient, project_id: int, *, corpus: DemoCorpus, config: LabelConfig, version: str
) -> LabelledTask | None:
    """Take the task that Label Studio serves next, correct its prediction, submit.

    Returns:
        What was done; None if no task is left.
    """
    task = client.next_task(project_id)
    if task is None:
        return None
    data, text = task["data"], task["data"][config.text_field]
    if not isinstance(data.get("doc_id"), str):
        raise StudioError(f"task {task['id']} is not one of the demo's; make a new --home")
    entities, relations = corpus.labels_of(
        data["doc_id"], start=int(data["sent_start"]), length=len(text)
    )
    shown = [p for p in task.get("predictions") or () if p.get("model_version") == version]
    prediction: Mapping[str, Any] = shown[0] if shown else {}
    result, n_edits = merge_regions(
        prediction.get("result") or [], entities, relations, text=text, config=config
    )
    annotation = client.create_annotation(
        int(task["id"]),
        {
            "result": result,
            "lead_time": _READING_S + _WORD_S * len(text.split()) + _EDIT_S * n_edits,
            "parent_prediction": prediction.get("id"),
        },
    )
    return LabelledTask(
        task=int(task["id"]),
        score=prediction.get("score"),
        version=prediction.get("model_version"),
        annotation=int(annotation["id"]),
        n_entities=len(entities),
        n_relations=len(relations),
    )


def merge_regions(
    proposed: Sequence[Mapping[str, Any]],
    entities: Sequence[Entity],
    relations: Sequence[Relation],
    *,
    text: str,
    config: LabelConfig,
) -> tuple[list[dict[str, Any]], int]:
    """Return what the editor would submit: correct regions keep their id, the others are replaced.

    Returns:
        The result, and how many regions were changed, drawn or removed.
    """
    wanted: dict[tuple[Any, Any, Any], Entity] = {(e.start, e.end, e.type): e for e in entities}
    kept: dict[str, dict[str, Any]] = {}
    ids: dict[str, str] = {}
    removed = 0
    for region in proposed:
        value = region.get("value") or {}
        if region.get("type") == "relation" or not value.get("labels"):
            continue
        entity = wanted.pop((value.get("start"), value.get("end"), value["labels"][0]), None)
        if entity is None:
            removed += 1
            continue
        kept[region["id"]] = {**region, "origin": "prediction"}
        ids[entity.id] = region["id"]
    drawn = list(wanted.values())
    manual = labels_to_result(drawn, [], text=text, config=config)
    for entity in drawn:
        ids[entity.id] = entity.id
    links = [
        {
            "type": "relation",
            "from_id": ids[r.head],
            "to_id": ids[r.tail],
            "direction": "right",
            "labels": [r.type] if r.type else [],
        }
        for r in relations
    ]
    regions = [*kept.values(), *({**region, "origin": "manual"} for region in manual)]
    return regions + links, removed + len(drawn)
