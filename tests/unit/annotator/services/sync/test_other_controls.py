"""A configuration with a nested field and other controls: what is taken over, what is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from factories import make_document
from fake_studio import FakeStudio, make_region

from annotator.services.archive.export import export_gold
from annotator.services.intake.documents import ingest_documents
from annotator.services.sync.upload import upload_tasks
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import Project, get_project

CONFIG_XML = """<View><Labels name="label" toName="text"><Label value="Drug"/></Labels>
  <Text name="text" value="$notes[0].text"/>
  <Choices name="sure" toName="text" perRegion="true"><Choice value="no"/></Choices></View>"""
TEXT = "Aspirin helped ."


def test_answers_about_regions_and_notes_are_counted_beside_the_labels(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    pull: Callable[..., Any],
    tmp_path: Path,
) -> None:
    studio.config_xml = CONFIG_XML
    task = studio.add_task(notes=[{"text": TEXT}])
    region = make_region("a", 0, 7, "Drug", text=TEXT) | {"meta": {"text": ["ask again"]}}
    answer = region | {"from_name": "sure", "type": "choices", "value": {"choices": ["no"]}}
    studio.annotate(task, [region, answer])
    assert pull().problems == ()

    report = export_gold(database, linked.id, name="jsonl", out=tmp_path, program_version="0")

    assert (report.n_entities, report.not_carried) == (1, 2)


def test_tasks_of_our_own_notes_are_where_the_path_leads(
    database: Database, linked: Project, studio: FakeStudio, pull: Callable[..., Any]
) -> None:
    studio.config_xml = CONFIG_XML
    pull()
    note = make_document("n1", TEXT)
    ingest_documents(database, linked.id, [note], role="pool", holdout_share=0.0, seed=1)
    with database.read() as session:
        project = get_project(session, linked.name)

    upload_tasks(database, project, studio)

    ((data,),) = studio.imports
    assert data["notes"] == [{"text": TEXT}]
    studio.annotate(1, [make_region("a", 0, 7, "Drug", text=TEXT)])
    assert pull().problems == ()
    with database.read() as session:
        (unit,) = gold_units(session, linked.id)
    assert unit.document.id.startswith("n1")
