"""What Label Studio is given: our tasks, the predictions of the active version, the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ConfigError, StudioError
from annotator.model import Predictor
from annotator.services.predict import (
    labels_of_task,
    predict_sentences,
    studio_prediction,
    to_text_sentences,
)
from annotator.services.queue import (
    OrderedTask,
    QueueSettings,
    TaskOrder,
    order_tasks,
    record_order,
)
from annotator.store.database import Database
from annotator.store.documents import (
    StoredSentence,
    documents_without_task,
    sentences_of,
    sentences_without_task,
    shown_of,
)
from annotator.store.gold import gold_units
from annotator.store.projects import Project, StudioLink, current_config_xml
from annotator.store.tasks import (
    add_task,
    has_pushes,
    open_tasks,
    record_pushes,
    task_by_id,
    unpushed_task_ids,
)
from annotator.store.versions import ModelVersion, predictions_for
from annotator.studio.client import StudioClient
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.page import Page, PlainPage, compose_data, open_page

__all__ = ["PublishReport", "has_uploads", "order_pool", "publish_version", "upload_tasks"]

_UPLOAD_CHUNK = 1000
_PUSH_CHUNK = 2000
_CONTEXT = 300  # characters shown before and after a sentence
_MOST_ANCHORS = 1000  # labelled embeddings that the ranked batch compares with

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What was done: predictions pushed, and whether the version is the selected one."""

    version: str
    n_open: int
    n_pushed: int
    selected: bool


def has_uploads(database: Database, project: Project) -> bool:
    """Tell whether there is text without a label and without a Label Studio task."""
    with database.read() as session:
        if project.unit == "document":
            return bool(documents_without_task(session, project.id, limit=1))
        return bool(sentences_without_task(session, project.id, limit=1))


def upload_tasks(
    database: Database,
    project: Project,
    client: StudioClient,
    *,
    on_progress: Progress | None = None,
) -> int:
    """Make a Label Studio task of each document (or sentence) that has none and no label.

    Pull first: tasks that an interrupted upload left behind are then known and not made twice.

    Returns:
        How many tasks were made.
    """
    link = _link(project)
    made = 0
    with database.read() as session:
        xml = current_config_xml(session, project.id)
    config = parse_config(xml) if xml else None
    while True:
        rows = _next_upload(database, project, config)
        if not rows:
            return made
        ids = client.import_tasks(link.project_id, [data for data, _, _ in rows])
        if len(ids) != len(rows):
            raise StudioError(
                f"sent {len(rows)} tasks to project {link.project_id}, Label Studio made "
                f"{len(ids)}; run annotator sync, then annotator push"
            )
        with database.write() as session:
            for studio_id, (_, document_id, sentence_id) in zip(ids, rows, strict=True):
                add_task(
                    session,
                    project.id,
                    studio_id=studio_id,
                    document_id=document_id,
                    sentence_id=sentence_id,
                )
        made += len(rows)
        if on_progress is not None:
            on_progress("upload", made, made)


def _next_upload(
    database: Database, project: Project, config: LabelConfig | None
) -> list[tuple[dict[str, object], int, int | None]]:
    with database.read() as session:
        if project.unit == "document":
            return [
                ({**_shown(d.text, config), "doc_id": d.name}, d.id, None)
                for d in documents_without_task(session, project.id, limit=_UPLOAD_CHUNK)
            ]
        sentences = sentences_without_task(session, project.id, limit=_UPLOAD_CHUNK)
        around: dict[int, list[StoredSentence]] = {}
        for s in sentences:
            if s.document_id not in around:
                around[s.document_id] = sentences_of(session, s.document_id)
        return [
            (_sentence_data(s, around[s.document_id], config), s.document_id, s.id)
            for s in sentences
        ]


def _sentence_data(
    sentence: StoredSentence, siblings: Sequence[StoredSentence], config: LabelConfig | None
) -> dict[str, object]:
    before = " ".join(s.text for s in siblings if s.ordinal < sentence.ordinal)
    after = " ".join(s.text for s in siblings if s.ordinal > sentence.ordinal)
    return {
        **_shown(sentence.text, config),
        "doc_id": sentence.document,
        "sent_start": sentence.start,
        "before": before if len(before) <= _CONTEXT else "… " + _last_words(before),
        "after": after if len(after) <= _CONTEXT else _first_words(after) + " …",
    }


def _shown(text: str, config: LabelConfig | None) -> dict[str, object]:
    return {"text": text} if config is None else {config.text_field: compose_data(text, config)}


def _first_words(text: str) -> str:
    return text[:_CONTEXT].rsplit(maxsplit=1)[0]


def _last_words(text: str) -> str:
    return text[-_CONTEXT:].split(maxsplit=1)[-1]


def order_pool(
    database: Database,
    project: Project,
    version: ModelVersion,
    predictor: Predictor,
    *,
    queue: QueueSettings,
    on_progress: Progress | None = None,
) -> TaskOrder:
    """Predict what is not predicted yet and order all open tasks, for a look."""
    with database.read() as session:
        tasks = open_tasks(session, project.id)
    sentences = [
        s for task in tasks for s in to_text_sentences(task.sentences, region_start=task.region[0])
    ]

    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("predict", done, total)

    predictions = predict_sentences(database, version.id, predictor, sentences, on_progress=report)
    return order_tasks(
        tasks=tasks,
        predictions=predictions,
        labelled=_labelled_embeddings(database, project.id, version.id, predictor),
        settings=queue,
    )


def publish_version(
    database: Database,
    project: Project,
    client: StudioClient,
    version: ModelVersion,
    predictor: Predictor,
    *,
    queue: QueueSettings,
    on_progress: Progress | None = None,
) -> PublishReport:
    """Push the version's predictions of open tasks with their order, then select the version.

    Only tasks that lack a prediction of this version are pushed, so this may be called again at
    any time: it does what is left to do.

    Raises:
        StudioError: if Label Studio took fewer predictions than were sent; nothing of that
            request is noted as pushed.
    """
    link = _link(project)
    with database.read() as session:
        missing = set(unpushed_task_ids(session, project.id, version_id=version.id))
        xml = current_config_xml(session, project.id)
    remote = client.project(link.project_id)
    config = parse_config(xml or remote.config_xml)
    ordered: Sequence[OrderedTask] = ()
    if missing:
        order = order_pool(
            database, project, version, predictor, queue=queue, on_progress=on_progress
        )
        record_order(database, project.id, order, version_id=version.id)
        ordered = order.tasks
    todo = [o for o in ordered if o.task.id in missing]
    for i in range(0, len(todo), _PUSH_CHUNK):
        _push(database, project, client, version, config, todo[i : i + _PUSH_CHUNK])
        if on_progress is not None:
            on_progress("push", min(i + _PUSH_CHUNK, len(todo)), len(todo))
    selected = remote.model_version == version.name
    if not selected and (todo or _has_pushes(database, version.id)):
        client.select_version(link.project_id, version.name)
        selected = True
    return PublishReport(
        version=version.name, n_open=len(ordered), n_pushed=len(todo), selected=selected
    )


def _push(
    database: Database,
    project: Project,
    client: StudioClient,
    version: ModelVersion,
    config: LabelConfig,
    part: Sequence[OrderedTask],
) -> None:
    link = _link(project)
    there = _pushed_before(client, version, part)
    _note_pushes(database, project, version, [one for one in part if one.task.id in there])
    part = [one for one in part if one.task.id not in there]
    hashes = {s.text_hash for o in part for s in o.task.sentences}
    with database.read() as session:
        predictions = predictions_for(session, version.id, hashes)
    items = []
    for one in part:
        sentences = to_text_sentences(one.task.sentences, region_start=one.task.region[0])
        prediction = studio_prediction(
            text=_page_of(database, one, config),
            config=config,
            version=version.name,
            score=one.score,
            labels=labels_of_task(sentences, predictions),
        )
        items.append({"task": one.task.studio_id, **prediction})
    created = client.push_predictions(link.project_id, items)
    if created != len(items):
        raise StudioError(
            f"sent {len(items)} predictions of {version.name} to project {link.project_id}, "
            f"Label Studio took {created}: its labels differ from ours; run annotator connect again"
        )
    _note_pushes(database, project, version, part)


def _pushed_before(
    client: StudioClient, version: ModelVersion, part: Sequence[OrderedTask]
) -> set[int]:
    # Label Studio stores doubles. A push that was killed before it was noted shows in a probe.
    def is_there(one: OrderedTask) -> bool:
        stored = client.predictions(one.task.studio_id)
        return any(p.get("model_version") == version.name for p in stored)

    if not any(is_there(one) for one in (part[0], part[len(part) // 2], part[-1])):
        return set()
    return {one.task.id for one in part if is_there(one)}


def _note_pushes(
    database: Database, project: Project, version: ModelVersion, part: Sequence[OrderedTask]
) -> None:
    scores = {one.task.id: one.score for one in part}
    with database.write() as session:
        record_pushes(session, project.id, version_id=version.id, scores=scores)


def _page_of(database: Database, one: OrderedTask, config: LabelConfig) -> Page:
    """Open what the task shows; one that we made shows its text in the plainest way."""
    text = _text_of(database, one)
    if config.layout == "text":
        return PlainPage(text)
    with database.read() as session:
        shown = shown_of(session, one.task.document_id)
    is_whole = one.task.region == (0, len(text))
    if shown is None or not is_whole:
        shown = compose_data(text, config)
    return open_page({config.text_field: shown}, config)


def _text_of(database: Database, one: OrderedTask) -> str:
    if len(one.task.sentences) == 1 and one.task.region == (
        one.task.sentences[0].start,
        one.task.sentences[0].end,
    ):
        return one.task.sentences[0].text
    with database.read() as session:
        return task_by_id(session, one.task.id).text


def _has_pushes(database: Database, version_id: int) -> bool:
    with database.read() as session:
        return has_pushes(session, version_id)


def _labelled_embeddings(
    database: Database, project_id: int, version_id: int, predictor: Predictor
) -> NDArray[np.float64]:
    anchors: list[StoredSentence] = []
    with database.read() as session:
        units = sorted(gold_units(session, project_id, split="train"), key=lambda u: u.created_at)
        while units and len(anchors) < _MOST_ANCHORS:
            unit = units.pop()
            start, end = unit.region
            inside = sentences_of(session, unit.document_id)
            anchors += [s for s in inside if start <= s.start and s.end <= end]
    wanted = to_text_sentences(anchors[:_MOST_ANCHORS], region_start=0)
    found = predict_sentences(database, version_id, predictor, wanted)
    rows = [np.frombuffer(p.embedding, dtype=np.float16) for p in found.values()]
    return np.stack(rows).astype(np.float64) if rows else np.zeros((0, 0))


def _link(project: Project) -> StudioLink:
    if project.studio is None:
        raise ConfigError("the project is not connected to Label Studio; run annotator connect")
    return project.studio
