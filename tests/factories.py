"""One-line builders with sound defaults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from annotator.domain import Document, Entity, Relation
from annotator.services.intake.documents import store_document
from annotator.store.annotations import NewAnnotation
from annotator.store.documents import sentences_of
from annotator.store.projects import StudioLink
from annotator.store.tasks import add_task

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LINK = StudioLink(host="http://127.0.0.1:8080", key="1.1795333539", project_id=1)
#: What events say of the project behind ``LINK``.
STUDIO_PROJECT = {"id": 1, "created_at": "2026-11-22T07:45:39.781551Z"}
TINY_HEADS = {"hidden": 48, "width": 32, "label_embedding": 8}
TINY_CONFIG_XML = """<View>
  <Relations><Relation value="causes"/><Relation value="treats"/></Relations>
  <Labels name="label" toName="text"><Label value="Drug"/><Label value="Effect"/></Labels>
  <Text name="text" value="$text"/>
</View>"""
RASH = "Aspirin caused a rash."


def at(seconds: float) -> datetime:
    """Return a time some seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def make_document(
    id: str = "note-1",
    text: str = RASH,
    *,
    entities: tuple[Entity, ...] | None = None,
    relations: tuple[Relation, ...] = (),
    **meta: Any,
) -> Document:
    """Build a document; with the usual text it has a drug, an effect and a relation."""
    if entities is None and text == RASH:
        entities = (
            Entity(id="e1", type="Drug", start=0, end=7),
            Entity(id="e2", type="Effect", start=17, end=21),
        )
        relations = (Relation(type="causes", head="e1", tail="e2"),)
    return Document(id=id, text=text, entities=entities or (), relations=relations, meta=meta)


def make_task(
    session: Session,
    project_id: int,
    *,
    studio_id: int = 1,
    document: Document | None = None,
    i_sentence: int | None = 0,
    split: str = "train",
) -> int:
    """Store a document and a task of one of its sentences (of all of it where None)."""
    document_id, _, _ = store_document(
        session, project_id, document or make_document(), split=split
    )
    sentence_id = None
    if i_sentence is not None:
        sentence_id = sentences_of(session, document_id)[i_sentence].id
    return add_task(
        session,
        project_id,
        studio_id=studio_id,
        document_id=document_id,
        sentence_id=sentence_id,
    )


def make_annotation(
    project_id: int, document_id: int, *, document: Document | None = None, **fields: Any
) -> NewAnnotation:
    """Build what somebody decided about a whole document in Label Studio, at noon."""
    document = document or make_document()
    given = {
        "task_id": None,
        "source": "studio",
        "external_id": "1",
        "state": "submitted",
        "region": (0, len(document.text)),
        "entities": document.entities,
        "relations": document.relations,
        "created_at": NOON,
        **fields,
    }
    return NewAnnotation(project_id=project_id, document_id=document_id, **given)
