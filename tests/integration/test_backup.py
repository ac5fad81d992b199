"""Backups of a project at work, and the project made from one again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from factories import LINK, TINY_CONFIG_XML, make_annotation, make_document
from fake_studio import FakeStudio
from reconcile_steps import RESULTS, TEXTS
from reconcile_world import SPLIT, ours, theirs
from sqlalchemy import column, func, select, text
from sqlalchemy import table as sql_table
from tiny_bert import TINY_SCHEMA

from annotator.errors import ConflictError, NewerDatabaseError, StoreError
from annotator.services.archive.backup import back_up
from annotator.services.archive.restore import RestoreReport, restore
from annotator.services.intake.documents import store_document
from annotator.services.sync.pull import reconcile
from annotator.settings import Settings, init_home, load_settings
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.leases import take_lease
from annotator.store.projects import ensure_project, get_project, link_studio, save_schema
from db.tables import AnnotationRow, DocumentRow


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A new project on either engine."""
    urls = {}
    if request.param == "postgres":
        urls["database_url"] = request.getfixturevalue("new_postgres")()
    home = tmp_path / "home"
    init_home(home, project="ward", unit="sentence", encoder="minilm", **urls)
    return load_settings(home)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """Its database, connected to a Label Studio."""
    opened = Database(settings.database)
    opened.upgrade()
    with opened.write() as session:
        project = ensure_project(session, name="ward", unit="sentence")
        save_schema(session, project.id, TINY_SCHEMA, config_xml=TINY_CONFIG_XML)
        link_studio(session, project.id, LINK)
    yield opened
    opened.close()


def label(database: Database, name: str) -> None:
    """Store a document and its labels in one transaction."""
    with database.write() as session:
        project_id = get_project(session, "ward").id
        document_id, _, _ = store_document(session, project_id, make_document(name), split="train")
        record_annotation(session, make_annotation(project_id, document_id, external_id=name))


def names(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(select(DocumentRow.name)))


def elsewhere(settings: Settings, tmp_path: Path, database: Database) -> Path:
    """The folder of a new machine; the database server is the same, and nobody is connected."""
    database.close()
    return settings.home if settings.database_url else tmp_path / "another" / "home"


def restored(home: Path, file: Path) -> tuple[RestoreReport, Database]:
    report = restore(file, home, force=True)
    return report, Database(load_settings(home).database)


def test_a_backup_made_while_others_write_is_one_moment(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    stop, written = threading.Event(), []

    def hammer(who: int) -> None:
        own = Database(settings.database)
        while not stop.is_set():
            label(own, f"{who}-{len(written)}")
            written.append(who)
        own.close()

    writers = [threading.Thread(target=hammer, args=(who,)) for who in range(2)]
    [writer.start() for writer in writers]
    backups = []
    for i in range(4):
        before = names(database)
        report = back_up(settings, tmp_path / f"{i}.tar")
        backups.append((before, report, names(database)))
    stop.set()
    [writer.join() for writer in writers]

    home, asides = elsewhere(settings, tmp_path, database), list[str]()
    for before, report, after in backups:
        done, copy = restored(home, Path(report.file))
        asides += done.kept_aside
        assert before <= names(copy) <= after
        with copy.read() as session:
            n_documents = session.scalar(select(func.count(DocumentRow.id)))
            n_annotations = session.scalar(
                select(func.count(AnnotationRow.id)).join(
                    DocumentRow, DocumentRow.id == AnnotationRow.document_id
                )
            )
        assert n_documents == n_annotations == report.facts.rows["document"]
        copy.check_drift()
        copy.close()
    assert backups[0][1].facts.rows["document"] < backups[-1][1].facts.rows["document"]
    assert len(set(asides)) == len(asides) >= 3  # none took the place of the one before


def test_labels_given_after_the_backup_come_back_with_the_next_pull(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    studio = FakeStudio(datetime.now(UTC))
    tasks = [studio.add_task(text=text) for text in TEXTS]

    def pull(into: Database) -> None:
        with into.read() as session:
            project = get_project(session, "ward")
        reconcile(into, project, studio, split=SPLIT)

    first = studio.annotate(tasks[0], RESULTS[1])
    pull(database)
    back_up(settings, tmp_path / "b.tar")
    studio.annotate(tasks[1], RESULTS[2])
    studio.update(first, RESULTS[2])
    studio.delete_task(tasks[4])
    pull(database)

    _, copy = restored(elsewhere(settings, tmp_path, database), tmp_path / "b.tar")

    with copy.read() as session:
        project = get_project(session, "ward")
    assert ours(copy, project) != theirs(studio)
    pull(copy)
    assert ours(copy, project) == theirs(studio)
    copy.close()


def test_what_was_there_is_kept_aside_and_still_opens(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    label(database, "early")
    back_up(settings, tmp_path / "b.tar")
    label(database, "late")
    database.close()

    with pytest.raises(ConflictError, match="--force puts the backup in its place"):
        restore(tmp_path / "b.tar", settings.home)
    assert names(database) == {"early", "late"}
    database.close()
    report, copy = restored(settings.home, tmp_path / "b.tar")

    assert names(copy) == {"early"}
    (aside,) = report.kept_aside
    if settings.database_url is None:
        with sqlite3.connect(aside) as old:
            kept = old.execute("SELECT name FROM document").fetchall()
        old.close()
    else:
        with copy.read() as session:
            table = sql_table("document", schema=aside.removeprefix("schema "))
            kept = session.execute(select(column("name")).select_from(table)).fetchall()
    assert {row[0] for row in kept} == {"early", "late"}
    copy.close()


def test_nothing_is_put_in_place_under_a_program_that_works(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    back_up(settings, tmp_path / "b.tar")
    label(database, "late")  # and its connection stays open, as those of a backend do

    with pytest.raises(ConflictError, match="a program has the database open"):
        restore(tmp_path / "b.tar", settings.home, force=True)
    with database.write() as session:
        take_lease(session, "worker:host:1", owner="host:1", lease_s=60)
    database.close()
    with pytest.raises(ConflictError, match=r"1 worker\(s\) gave a sign of life .*host:1"):
        restore(tmp_path / "b.tar", settings.home, force=True)

    assert names(database) == {"late"}


def test_a_backup_of_an_earlier_version_is_upgraded_and_one_of_a_later_refused(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    label(database, "a")
    database.downgrade("0001")
    back_up(settings, tmp_path / "old.tar")
    database.upgrade()
    with database.write() as session:
        head = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    report = back_up(settings, tmp_path / "new.tar")
    assert report.facts.migration == "9999"
    home = elsewhere(settings, tmp_path, database)

    with pytest.raises(NewerDatabaseError, match="at migration 9999"):
        restore(tmp_path / "new.tar", home, force=True)
    _, copy = restored(home, tmp_path / "old.tar")

    assert names(copy) == {"a"}
    with copy.read() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == head
    copy.close()


@pytest.mark.postgres
def test_without_postgresqls_programs_it_says_what_to_install(
    new_postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, database_url=new_postgres())
    database = Database(settings.database)
    database.upgrade()
    database.close()
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StoreError, match=r"pg_dump is not on this machine: install .*client"):
        back_up(settings, tmp_path / "b.tar")

    assert list(tmp_path.iterdir()) == []
