"""Shards of a large pool are walked along an index: what is read does not grow with the pool."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from factories import TINY_CONFIG_XML
from sqlalchemy import event
from sqlalchemy.orm import Session
from tiny_bert import TINY_SCHEMA

from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.documents import documents_without_task, sentences_without_task
from annotator.store.pool import unscored_sentences
from annotator.store.projects import ensure_project, save_schema


@pytest.mark.parametrize(
    "read",
    [
        partial(sentences_without_task, after=1, limit=5),
        partial(documents_without_task, after=1, limit=5),
        partial(unscored_sentences, version_id=1, strategy="mnlp", after=1, limit=5),
    ],
    ids=["sentences_without_task", "documents_without_task", "unscored_sentences"],
)
def test_sqlite_sorts_nothing_to_find_a_shard(
    settings: Settings, read: Callable[[Session, int], object]
) -> None:
    database = Database(settings.database)
    database.upgrade()
    with database.write() as session:
        project = ensure_project(session, name="ward", unit="sentence")
        save_schema(session, project.id, TINY_SCHEMA, config_xml=TINY_CONFIG_XML)
    with database.read() as session:
        asked = []
        event.listen(
            session.connection(),
            "before_cursor_execute",
            lambda _c, _cursor, statement, values, *_rest: asked.append((statement, values)),
        )
        read(session, project.id)
        statement, values = asked[0]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        steps = [str(row[3]) for row in plan]
    database.close()

    assert len(asked) >= 1
    assert "_shards (project_id=? AND id>?)" in steps[0]
    assert not any("TEMP B-TREE" in step for step in steps)
