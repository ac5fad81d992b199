"""Storing Label Studio's tasks and annotations, from an event and from a pull alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from annotator.domain import Document, Entity, Relation
from annotator.errors import TaskFormatError
from annotator.services.intake.documents import draw_split, store_document
from annotator.services.intake.groups import Arrival, place_documents, remember_places
from annotator.services.sync.corrections import compare_labels
from annotator.store.annotations import NewAnnotation, record_annotation
from annotator.store.cold_start import is_warmup_name
from annotator.store.documents import find_document, find_sentence, hash_text, keep_shown
from annotator.store.groups import group_of
from annotator.store.tasks import Task, add_task, find_task, move_task, refresh_state
from annotator.studio.codec import StudioLabels, result_to_labels
from annotator.studio.config import LabelConfig
from annotator.studio.page import Page, open_page, shown_text
from annotator.studio.reading import reader_of
from annotator.studio.task_data import read_field

__all__ = [
    "SplitRule",
    "issues_to_json",
    "page_of",
    "parent_of",
    "person_of",
    "reading_state",
    "record_studio_annotation",
    "resolve_task",
    "shift",
]

_MAX_NAME = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """How documents that first appear in Label Studio are drawn into the hold-out."""

    holdout_share: float
    seed: int


def page_of(task: Mapping[str, Any], config: LabelConfig) -> Page:
    """Open what one of Label Studio's tasks shows.

    Raises:
        TaskFormatError: if the configured field does not hold what its tag needs.
    """
    try:
        return open_page(task.get("data"), config)
    except TaskFormatError as error:
        raise TaskFormatError(f"task {task.get('id')}: {error}") from None


def resolve_task(
    session: Session,
    project_id: int,
    task: Mapping[str, Any],
    *,
    config: LabelConfig,
    split: SplitRule,
) -> Task:
    """Return our task for one of Label Studio's, storing its document if it is new.

    A task of ours names its document and place (``doc_id``, ``sent_start``); any other becomes a
    document of its own. A task whose text was edited is moved to a new document: earlier labels
    stay with the text they were given for.

    Raises:
        TaskFormatError: if the task has no id or no text in the configured field.
    """
    studio_id, data = task.get("id"), task.get("data")
    if not isinstance(studio_id, int) or not isinstance(data, Mapping):
        raise TaskFormatError("a task needs an integer id and an object data")
    text = page_of(task, config).text
    if not text:
        raise TaskFormatError(f"task {studio_id}: data.{config.text_field} holds no text")
    shown = None if config.layout == "text" else read_field(data, config.text_field)
    known = find_task(session, project_id, studio_id=studio_id)
    if known is not None and text in (known.text, shown_text(known.text, config)):
        if shown is not None and known.sentence_id is None:
            keep_shown(session, known.document_id, shown)
        return known
    if known is not None and known.state == "deleted":
        known = None  # not an edit: Label Studio reuses ids of deleted tasks
    place = _place(session, project_id, studio_id, data, text, split, known, config)
    document_id, sentence_id = place
    if shown is not None and sentence_id is None:
        keep_shown(session, document_id, shown)
    if known is not None:
        move_task(session, known.id, document_id=document_id, sentence_id=sentence_id)
    else:
        add_task(
            session,
            project_id,
            studio_id=studio_id,
            document_id=document_id,
            sentence_id=sentence_id,
        )
    found = find_task(session, project_id, studio_id=studio_id)
    if found is None:
        raise TaskFormatError(f"task {studio_id} could not be stored")
    return found


def _place(
    session: Session,
    project_id: int,
    studio_id: int,
    data: Mapping[str, Any],
    text: str,
    split: SplitRule,
    known: Task | None,
    config: LabelConfig,
) -> tuple[int, int | None]:
    name, start = data.get("doc_id"), data.get("sent_start")
    if isinstance(name, str) and isinstance(start, int):
        sentence = find_sentence(session, project_id, document=name, start=start)
        if sentence is not None and text in (sentence.text, shown_text(sentence.text, config)):
            return sentence.document_id, sentence.id
    document = f"studio-{studio_id}-{hash_text(text)[:8]}"
    if isinstance(name, str) and 0 < len(name) <= _MAX_NAME and start is None and known is None:
        # A name that another text already has cannot be used for this one.
        held = find_document(session, project_id, name)
        # Two pages of one text may differ in markup; a document keeps only one page's.
        is_same = config.layout == "text" and held is not None and held.text == text
        document = name if held is None or is_same else document
    held = find_document(session, project_id, document)
    if held is not None and held.text == text:
        return held.id, None
    # An edited text stays in its earlier group, on the same side of the split.
    group = group_of(session, known.document_id) if known is not None else None
    arrival = Arrival(
        group=group or document,
        text=text,
        split=known.split
        if known is not None
        else draw_split(document, share=split.holdout_share, seed=split.seed),
    )
    (place,), _ = place_documents(session, project_id, [arrival])
    stored, _, _ = store_document(
        session,
        project_id,
        Document(id=document, text=text),
        split=place.split,
        group=place.group,
    )
    remember_places(session, project_id, {stored: place})
    return stored, None


def record_studio_annotation(
    session: Session,
    project_id: int,
    task: Task,
    annotation: Mapping[str, Any],
    *,
    page: Page,
    config: LabelConfig,
    prediction: Mapping[str, Any] | None = None,
    pulled_after: int | None = None,
) -> bool:
    """Append an annotation in its current state in Label Studio; return whether it was new.

    ``page`` is what the task shows. Its changes to ``prediction`` (the one it started from) are
    computed here, once, and stored. ``pulled_after`` is as for ``record_annotation``.

    Raises:
        TaskFormatError: if the annotation has no id or no list of results.
    """
    annotation_id = annotation.get("id")
    if not isinstance(annotation_id, int):
        raise TaskFormatError(f"task {task.studio_id}: an annotation without an integer id")
    labels = result_to_labels(annotation.get("result"), text=page, config=config)
    facts = _circumstances(annotation, prediction)
    new = NewAnnotation(
        project_id=project_id,
        document_id=task.document_id,
        task_id=task.id,
        source="studio",
        external_id=str(annotation_id),
        region=task.region,
        entities=tuple(shift(e, task.region[0]) for e in labels.entities),
        relations=labels.relations,
        raw=annotation.get("result"),
        **{**facts, "state": reading_state(facts["state"], labels)},
        issues=issues_to_json(labels),
        read_by=reader_of(config),
        diff=_corrections(prediction, (labels.entities, labels.relations), page, config),
    )
    is_new = record_annotation(session, new, pulled_after=pulled_after)
    refresh_state(session, task.id, revive=pulled_after is not None)
    return is_new


def reading_state(state: str, labels: StudioLabels) -> str:
    """Return a decision's state: one with labels that could not be read is no gold."""
    is_lost = any(issue.kind == "unread" for issue in labels.issues)
    return "unread" if is_lost and state in ("submitted", "unread") else _decided(state)


def _decided(state: str) -> str:
    return "submitted" if state == "unread" else state


def issues_to_json(labels: StudioLabels) -> list[dict[str, Any]]:
    """Return what could not be read as it was, as plain JSON values."""
    return [
        {"kind": i.kind, "region": i.region, "message": i.message, "kept": i.kept}
        for i in labels.issues
    ]


def _circumstances(
    annotation: Mapping[str, Any], prediction: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return who decided, when, how and starting from what, by fields of ``NewAnnotation``."""
    in_bulk = _is_accepted_in_bulk(annotation)
    # Labels that no model proposed and nobody reviewed do not count.
    is_unseen = in_bulk and is_warmup_name(_version_of(prediction))
    return {
        "state": "skipped" if annotation.get("was_cancelled") or is_unseen else "submitted",
        "created_at": _time(annotation.get("updated_at")),
        "annotator": person_of(annotation.get("completed_by")),
        "ground_truth": bool(annotation.get("ground_truth")),
        "bulk_created": in_bulk,
        "lead_time_s": _number(annotation.get("lead_time")),
        "parent_prediction": parent_of(annotation),
        "parent_version": _version_of(prediction),
    }


def _is_accepted_in_bulk(annotation: Mapping[str, Any]) -> bool:
    """Return whether this is a copy of a prediction that nobody reviewed.

    The Data Manager makes such copies in bulk without setting ``bulk_created``; but a person takes
    time, and the editor records the origin of each region.
    """
    if annotation.get("bulk_created"):
        return True
    regions = [one for one in annotation.get("result") or () if isinstance(one, Mapping)]
    is_copy = annotation.get("parent_prediction") is not None
    return is_copy and not annotation.get("lead_time") and not any("origin" in r for r in regions)


def shift(entity: Entity, offset: int) -> Entity:
    """Move an entity from a region's text to its document."""
    return replace(entity, start=entity.start + offset, end=entity.end + offset)


def _corrections(
    prediction: Mapping[str, Any] | None,
    labels: tuple[tuple[Entity, ...], tuple[Relation, ...]],
    page: Page,
    config: LabelConfig,
) -> dict[str, Any] | None:
    if not prediction or not isinstance(prediction.get("result"), list):
        return None
    if is_warmup_name(_version_of(prediction)):  # no model proposed it
        return None
    before = result_to_labels(prediction["result"], text=page, config=config)
    return compare_labels((before.entities, before.relations), labels).to_json()


def _version_of(prediction: Mapping[str, Any] | None) -> str | None:
    version = prediction.get("model_version") if prediction else None
    return version if isinstance(version, str) else None


def _time(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError as error:
            raise TaskFormatError("updated_at is no ISO 8601 time") from error
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return datetime.now(UTC)


def person_of(value: Any) -> str | None:
    """Return who made an annotation: the REST API gives an id or an object, events an id."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def parent_of(annotation: Mapping[str, Any]) -> int | None:
    """Return the id of the prediction an annotation started from: a number, or in an object."""
    value = annotation.get("parent_prediction")
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None
