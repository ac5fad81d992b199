"""Uploading our documents and sentences as Label Studio tasks, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count

from annotator.errors import StudioError
from annotator.services.sync.identity import prove_identity
from annotator.store.database import Database
from annotator.store.documents import (
    StoredSentence,
    documents_without_task,
    sentences_of,
    sentences_without_task,
)
from annotator.store.projects import Project, current_config_xml
from annotator.store.tasks import NewTask, add_tasks
from annotator.studio.client import StudioClient
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.page import compose_data
from annotator.studio.task_data import nest_field

__all__ = ["has_uploads", "upload_tasks"]

_UPLOAD_CHUNK = 1000
_CONTEXT = 300  # characters shown before and after a sentence


def has_uploads(database: Database, project: Project) -> bool:
    """Return whether there is text without a label and without a Label Studio task."""
    with database.read() as session:
        if project.unit == "document":
            return bool(documents_without_task(session, project.id, limit=1))
        return bool(sentences_without_task(session, project.id, limit=1))


def upload_tasks(
    database: Database,
    project: Project,
    client: StudioClient,
    *,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> int:
    """Create a Label Studio task for each document (or sentence) that has none and no label.

    Pull first: tasks left by an interrupted upload are then known and not created twice.

    Returns:
        The number of tasks created.

    Raises:
        ConfigError: if the project is not connected.
        StudioIdentityError: if another project answers there; nothing is sent.
        StudioError: if Label Studio created fewer tasks than were sent.
    """
    number = prove_identity(database, project, client).id
    made = after = 0
    with database.read() as session:
        xml = current_config_xml(session, project.id)
    config = parse_config(xml) if xml else None
    while True:
        rows = _next_upload(database, project, config, after=after)
        if not rows:
            return made
        ids = client.import_tasks(number, [data for data, _, _ in rows])
        if len(ids) != len(rows):
            raise StudioError(
                f"sent {len(rows)} tasks to project {number}, Label Studio made "
                f"{len(ids)}; run annotator sync, then annotator push"
            )
        with database.write() as session:
            add_tasks(
                session,
                project.id,
                [
                    NewTask(studio_id=studio_id, document_id=document_id, sentence_id=sentence_id)
                    for studio_id, (_, document_id, sentence_id) in zip(ids, rows, strict=True)
                ],
            )
        after = rows[-1][1] if project.unit == "document" else rows[-1][2] or 0
        made += len(rows)
        if on_progress is not None:
            on_progress("upload", made, made)


def _next_upload(
    database: Database, project: Project, config: LabelConfig | None, *, after: int
) -> list[tuple[dict[str, object], int, int | None]]:
    with database.read() as session:
        if project.unit == "document":
            return [
                ({**_shown(d.text, config), "doc_id": d.name}, d.id, None)
                for d in documents_without_task(
                    session, project.id, after=after, limit=_UPLOAD_CHUNK
                )
            ]
        sentences = sentences_without_task(session, project.id, after=after, limit=_UPLOAD_CHUNK)
        texts = {
            document_id: {
                s.ordinal: s.text for s in sentences_of(session, document_id, ordinals=ordinals)
            }
            for document_id, ordinals in _shown_ordinals(sentences).items()
        }
        return [
            (_sentence_data(s, texts[s.document_id], config), s.document_id, s.id)
            for s in sentences
        ]


def _shown_ordinals(sentences: Sequence[StoredSentence]) -> dict[int, tuple[int, int]]:
    """Return, by document, between which sentences lies all that is shown around these."""
    found: dict[int, tuple[int, int]] = {}
    for s in sentences:
        # No sentence is empty, so that as many as there are characters are enough.
        low, high = found.get(s.document_id, (s.ordinal - _CONTEXT, s.ordinal + _CONTEXT))
        found[s.document_id] = (min(low, s.ordinal - _CONTEXT), max(high, s.ordinal + _CONTEXT))
    return found


def _near(texts: Mapping[int, str], ordinals: Iterable[int]) -> Iterator[str]:
    """Yield sentences in this order until they are more than is shown, or the document ends."""
    length = -1  # of the blanks between them there is one less
    for ordinal in ordinals:
        if ordinal not in texts or length > _CONTEXT:
            return
        yield texts[ordinal]
        length += len(texts[ordinal]) + 1


def _sentence_data(
    sentence: StoredSentence, texts: Mapping[int, str], config: LabelConfig | None
) -> dict[str, object]:
    """Return a task's data; ``texts`` are the sentences of its document, by ordinal."""
    before = " ".join([*_near(texts, count(sentence.ordinal - 1, -1))][::-1])
    after = " ".join(_near(texts, count(sentence.ordinal + 1)))
    return {
        **_shown(sentence.text, config),
        "doc_id": sentence.document,
        "sent_start": sentence.start,
        "before": before if len(before) <= _CONTEXT else "… " + _last_words(before),
        "after": after if len(after) <= _CONTEXT else _first_words(after) + " …",
    }


def _shown(text: str, config: LabelConfig | None) -> dict[str, object]:
    if config is None:
        return {"text": text}
    return nest_field(config.text_field, compose_data(text, config))


def _first_words(text: str) -> str:
    return text[:_CONTEXT].rsplit(maxsplit=1)[0]


def _last_words(text: str) -> str:
    return text[-_CONTEXT:].split(maxsplit=1)[-1]
