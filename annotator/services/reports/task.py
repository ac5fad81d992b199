"""Why a task shows what it shows: Label Studio's data, ours, and a fresh prediction.

Findings contain labels, places and scores, never text: they are made to be sent to somebody.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from annotator.domain import Entity, Relation
from annotator.errors import TaskFormatError
from annotator.services.inference.predictions import (
    TextSentence,
    compute_predictions,
    describe_bounds,
    labels_of_task,
    split_text,
    studio_prediction,
    task_confidence,
    to_text_sentences,
)
from annotator.services.reports.doctor import Finding
from annotator.services.sync.annotations import page_of
from annotator.store.annotations import current_revision
from annotator.store.database import Database
from annotator.store.documents import sentences_of
from annotator.store.projects import Project
from annotator.store.selections import latest_choice
from annotator.store.tasks import Task, find_task
from annotator.store.versions import ModelVersion, active_version
from annotator.studio.client import StudioClient, StudioProject
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.page import Page, PlainPage, shown_text
from annotator.studio.validation import clean_prediction, validate_prediction
from annotator.text import describe_left_out

if TYPE_CHECKING:  # the light commands load no torch
    from annotator.model import Predictor

__all__ = ["explain_task"]

_MOST_LISTED = 50


def explain_task(
    database: Database,
    project: Project,
    client: StudioClient,
    number: int,
    *,
    load: Callable[[ModelVersion], Predictor],
) -> Iterator[Finding]:
    """Examine a task of a connected project, and predict it anew.

    ``number`` is the task's id in Label Studio; ``load`` loads a version's model.

    Raises:
        StudioError: if Label Studio cannot be reached.
        ConfigError: if its labeling configuration is of a kind we cannot serve.
        ModelError: if the active version cannot be loaded.
    """
    remote = client.project(project.studio.project_id if project.studio else 0)
    config = parse_config(remote.config_xml)
    there = client.task(number)
    if there is not None and there.get("project") not in (None, remote.id):
        yield _of_another_project(number, there, remote)
        return
    with database.read() as session:
        ours = find_task(session, project.id, studio_id=number)
    yield _task(number, there, ours)
    if there is None:
        return
    page, finding = _text(there, config, ours)
    yield finding
    yield from _annotations(database, project, there)
    yield from _stored(there, remote, config, page or PlainPage(""))
    with database.read() as session:
        version = active_version(session, project.id)
    if version is not None and page is not None:
        yield from _replay(database, version, load(version), there, ours, config, page)
    if ours is not None:
        yield _place(database, ours)


def _task(number: int, there: Mapping[str, Any] | None, ours: Task | None) -> Finding:
    if there is None:
        known = f"here it is known as {ours.state}" if ours else "it is not known here either"
        message = f"Label Studio has no task {number}; {known}"
        return Finding(part="task", state="bad", message=message, remedy="annotator sync")
    if ours is None:
        return Finding(
            part="task",
            state="warning",
            message=f"task {number} is in Label Studio and not known here yet",
            remedy="annotator sync",
        )
    use = "hold-out: it measures the model" if ours.split == "holdout" else "training"
    place = f"{ours.document}, characters {ours.region[0]} to {ours.region[1]}"
    return Finding(part="task", state="good", message=f"{place}; {ours.state}; for {use}")


def _of_another_project(number: int, there: Mapping[str, Any], remote: StudioProject) -> Finding:
    return Finding(
        part="task",
        state="bad",
        message=f"task {number} is one of Label Studio's project {there['project']}; this one "
        f"is connected to project {remote.id}",
        remedy="annotator doctor --home DIR of the project that is connected to that one",
    )


def _text(
    there: Mapping[str, Any], config: LabelConfig, ours: Task | None
) -> tuple[Page | None, Finding]:
    """Open what the task shows; None if it has no text."""
    try:
        page = page_of(there, config)
    except TaskFormatError as error:
        return None, Finding(
            part="text",
            state="bad",
            message=f"{error}: nothing can be predicted",
            remedy="put the text there, or change value= of its tag in the labeling configuration",
        )
    known = page.text if ours is None else shown_text(ours.text, config)
    return page, _compare_text(page.text, known)


def _compare_text(text: str, known: str) -> Finding:
    if known != text:
        pairs = enumerate(zip(text, known, strict=False))
        differs = next((i for i, (a, b) in pairs if a != b), min(len(text), len(known)))
        return Finding(
            part="text",
            state="warning",
            message=f"it differs from ours from character {differs} on ({len(text)} characters "
            f"there, {len(known)} here): it was edited there",
            remedy="annotator sync takes the new text; labels stay with the old one",
        )
    return Finding(part="text", state="good", message=f"{len(text)} characters")


def _annotations(
    database: Database, project: Project, there: Mapping[str, Any]
) -> Iterator[Finding]:
    found = [one for one in there.get("annotations") or () if isinstance(one, Mapping)]
    if not found:
        yield Finding(
            part="annotations", state="good", message="none: the editor begins with a prediction"
        )
    for one in found:
        with database.read() as session:
            row = current_revision(
                session, project.id, source="studio", external_id=str(one.get("id"))
            )
            state = None if row is None else "submitted" if row.state == "unread" else row.state
            known = None if row is None else (state, [i["kind"] for i in row.issues or ()])
        kind = "skipped" if one.get("was_cancelled") else "submitted"
        n_items = len(one.get("result") or ())
        what = f"annotation {one.get('id')}, {kind}, {n_items} regions and relations"
        if known is None or known[0] != kind:
            yield Finding(
                part="annotations",
                state="bad",
                message=f"{what}; here it is {known[0] if known else 'not known'}",
                remedy="annotator sync; then look why events do not arrive: annotator doctor",
            )
        elif known[1]:
            yield Finding(
                part="annotations",
                state="warning",
                message=f"{what}; not taken or not learnt as they are: "
                f"{describe_left_out(Counter(known[1]))}",
                remedy="correct them there, or see the column issues of the table annotation",
            )
        else:
            yield Finding(part="annotations", state="good", message=f"{what}; known here")


def _stored(
    there: Mapping[str, Any], remote: StudioProject, config: LabelConfig, page: Page
) -> Iterator[Finding]:
    found = [one for one in there.get("predictions") or () if isinstance(one, Mapping)]
    versions = [str(one.get("model_version")) for one in found]
    shown = remote.model_version
    if shown not in versions:
        others = f"; it has those of {', '.join(sorted(set(versions)))}" if versions else ""
        yield Finding(
            part="predictions",
            state="warning",
            message=f"Label Studio has none of {shown or 'the selected version'}, so it asks the "
            f"backend when the task is opened{others}",
            remedy="annotator push stores it there, and gives the task its place in the order",
        )
    for version in sorted({one for one in versions if versions.count(one) > 1}):
        yield Finding(
            part="predictions",
            state="warning",
            message=f"{versions.count(version)} of {version} are stored: one is enough",
            remedy="delete the predictions in Label Studio's Data Manager, then annotator push",
        )
    for one in found:
        problems = validate_prediction(
            {"result": one.get("result"), "score": one.get("score")}, text=page, config=config
        )
        place = one.get("score")
        place = f"{place:.3f}" if isinstance(place, float) else place
        what = f"{one.get('model_version')}, score {place}, {_count(one.get('result'))}"
        if problems:
            yield Finding(
                part="predictions",
                state="bad",
                message=f"{what}; it would not pass our checks: {'; '.join(problems[:5])}",
                remedy="delete it in Label Studio: it may keep the editor from opening",
            )
        else:
            selected = " (the one that is shown)" if one.get("model_version") == shown else ""
            yield Finding(part="predictions", state="good", message=f"{what}{selected}")


def _count(result: Any) -> str:
    items = result if isinstance(result, list) else []
    n_relations = sum(isinstance(i, Mapping) and i.get("type") == "relation" for i in items)
    return f"{len(items) - n_relations} regions, {n_relations} relations"


def _replay(
    database: Database,
    version: ModelVersion,
    predictor: Predictor,
    there: Mapping[str, Any],
    ours: Task | None,
    config: LabelConfig,
    page: Page,
) -> Iterator[Finding]:
    sentences = _sentences(database, there, ours, page.text)
    found = {one.text_hash: one for one in compute_predictions(predictor, sentences)}
    labels = labels_of_task(sentences, found)
    prediction = studio_prediction(
        text=page,
        config=config,
        version=version.name,
        score=task_confidence(sentences, found),
        labels=labels,
    )
    cleaned = clean_prediction(prediction, text=page, config=config)
    yield Finding(
        part="replay",
        state="good",
        message=f"{version.name} sees {len(labels[0])} entities and {len(labels[1])} relations in "
        f"{len(sentences)} sentences; confidence {prediction['score']:.3f} (a stored score is the "
        "place in the order)",
    )
    yield from _bounds(page.text, is_sentence="sent_start" in there["data"])
    lines = _list(*labels)
    more = [f"{len(lines) - _MOST_LISTED} more"] if len(lines) > _MOST_LISTED else []
    for line in [*lines[:_MOST_LISTED], *more]:
        yield Finding(part="replay", state="good", message=line)
    unknown = sorted({e.type for e in labels[0]} - set(config.schema.entity_types))
    unknown += sorted({str(r.type) for r in labels[1]} - set(config.schema.relation_types))
    if unknown or cleaned.dropped:
        reasons = [f"no label {name} in Label Studio's configuration" for name in unknown]
        yield Finding(
            part="replay",
            state="warning",
            message=f"some of it is not sent: {'; '.join([*reasons, *cleaned.dropped[:5]])}",
            remedy="add the labels there, or train a new version on the labels that are there",
        )
    yield from _compare(there, version, cleaned.prediction["result"])


def _bounds(text: str, *, is_sentence: bool) -> Iterator[Finding]:
    bounded = describe_bounds(text, is_sentence=is_sentence)
    if bounded:
        yield Finding(
            part="replay",
            state="warning",
            message=f"its text is {bounded}",
            remedy="import text in which sentences end: with a full stop, or one a line",
        )


def _sentences(
    database: Database, there: Mapping[str, Any], ours: Task | None, text: str
) -> list[TextSentence]:
    """Split the text as it was split when it was stored, or as the backend would."""
    if ours is None or ours.text != text:
        return split_text(text, is_sentence="sent_start" in there["data"])
    first, end = ours.region
    with database.read() as session:
        stored = sentences_of(session, ours.document_id)
    inside = [s for s in stored if first <= s.start and s.end <= end]
    return to_text_sentences(inside, region_start=first)


def _list(entities: Sequence[Entity], relations: Sequence[Relation]) -> list[str]:
    """Describe each label's place and score."""

    def sure(score: float | None) -> str:
        return "" if score is None else f", {score:.3f}"

    spans = {e.id: f"{e.type} {e.start}-{e.end}" for e in entities}
    return [
        *(f"{spans[e.id]}{sure(e.score)}" for e in entities),
        *(f"{r.type}: {spans[r.head]} to {spans[r.tail]}{sure(r.score)}" for r in relations),
    ]


def _compare(
    there: Mapping[str, Any], version: ModelVersion, result: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    stored = [
        one.get("result")
        for one in there.get("predictions") or ()
        if isinstance(one, Mapping) and one.get("model_version") == version.name
    ]
    if not stored:
        return
    if _facts(stored[-1]) == _facts(result):
        yield Finding(part="replay", state="good", message="that is what Label Studio has stored")
    else:
        yield Finding(
            part="replay",
            state="warning",
            message=f"Label Studio has stored something else under {version.name}",
            remedy="a close call may fall the other way on another machine; if it is more than "
            "that, delete its predictions in Label Studio's Data Manager, then annotator push",
        )


def _facts(result: Any) -> set[str]:
    """Return regions and relations without ids and scores, as strings."""
    items = [i for i in result if isinstance(i, Mapping)] if isinstance(result, list) else []
    values = {i.get("id"): i["value"] for i in items if isinstance(i.get("value"), Mapping)}
    facts: list[Any] = list(values.values())
    for item in items:
        if item.get("type") == "relation":
            ends = [values.get(item.get("from_id")), values.get(item.get("to_id"))]
            facts.append([*ends, sorted(map(str, item.get("labels") or ()))])
    return {json.dumps(fact, sort_keys=True) for fact in facts}


def _place(database: Database, ours: Task) -> Finding:
    with database.read() as session:
        logged = latest_choice(session, ours.id)
    if logged is None:
        return Finding(part="queue", state="good", message="it was never put in order")
    message = f"number {logged.choice.rank + 1} of {logged.n_pool} by {logged.version}"
    remedy = f"annotator why {ours.studio_id} says more"
    return Finding(part="queue", state="good", message=message, remedy=remedy)
