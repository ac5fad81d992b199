from __future__ import annotations

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from factories import make_document
from sqlalchemy import exc, insert, select, text

from annotator.errors import ConflictError, InputError, StoreError
from annotator.services.intake.documents import store_document
from annotator.store.database import Database
from annotator.store.documents import find_document
from annotator.store.projects import Project
from db import make_engine
from db.tables import LeaseRow, SentenceRow

SENTENCE = {"project_id": 1, "ordinal": 0, "start": 0, "end": 1, "n_words": 1, "text_hash": "x"}


def test_sqlite_writes_ahead_and_minds_foreign_keys(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.read() as session:
        values = [
            session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "cache_size")
        ]

    assert values == ["wal", 1, 30_000, -16_384]
    database.close()


def test_a_row_that_names_nothing_is_a_conflict(database: Database, project: Project) -> None:
    with pytest.raises(ConflictError), database.write() as session:
        session.execute(insert(SentenceRow), [{**SENTENCE, "document_id": 404}])


def test_an_error_names_no_value_of_its_statement(database: Database) -> None:
    row = {"name": "Quillfeather", "owner": None, "until": datetime.now(UTC)}

    with pytest.raises(ConflictError) as caught, database.write() as session:
        session.execute(insert(LeaseRow), [row])

    assert isinstance(caught.value.__cause__, exc.IntegrityError)
    assert "SQL parameters hidden" in str(caught.value.__cause__)
    assert "Quillfeather" not in str(caught.value)


def test_half_a_surrogate_pair_is_refused_as_input(database: Database, project: Project) -> None:
    document = make_document(text="broken \ud83d here")

    with pytest.raises(InputError, match="surrogate"), database.write() as session:
        store_document(session, project.id, document, split="train")


def test_a_transaction_that_fails_leaves_nothing(database: Database, project: Project) -> None:
    def half() -> None:
        with database.write() as session:
            store_document(session, project.id, make_document(), split="train")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()

    with database.read() as session:
        assert find_document(session, project.id, "note-1") is None


def test_reading_changes_nothing(database: Database, project: Project) -> None:
    with database.read() as session:
        store_document(session, project.id, make_document(), split="train")

    with database.read() as session:
        assert find_document(session, project.id, "note-1") is None


def test_two_writers_take_turns(database: Database, project: Project) -> None:
    order: list[str] = []

    def second() -> None:
        with database.write() as session:
            store_document(session, project.id, make_document("b"), split="train")
        order.append("second")

    with database.write() as session:
        store_document(session, project.id, make_document("a"), split="train")
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.1)
        session.execute(select(SentenceRow)).all()
        order.append("first")
    other.join(10)

    with database.read() as session:
        names = [find_document(session, project.id, name) is not None for name in "ab"]
    assert names == [True, True]
    assert sorted(order) == ["first", "second"]


def test_a_writer_waits_as_long_as_it_is_told_and_no_longer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}", lock_wait_s=0.2)
    database.upgrade()
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()

    with pytest.raises(StoreError, match="locked"), database.write() as session:
        session.execute(text("SELECT 1"))

    assert 0.2 <= time.monotonic() - started < 5
    other.execute("ROLLBACK")
    with database.write() as session:
        assert session.execute(text("PRAGMA busy_timeout")).scalar_one() == 200
    other.close()
    database.close()


@pytest.mark.postgres
def test_a_writer_waits_for_postgresqls_locks_as_long_as_it_is_told(postgres_url: str) -> None:
    database = Database(postgres_url, lock_wait_s=0.2)
    database.upgrade()
    holder = make_engine(postgres_url)
    with holder.begin() as other:
        other.execute(text("LOCK TABLE webhook_event IN EXCLUSIVE MODE"))
        started = time.monotonic()

        with pytest.raises(StoreError, match="lock timeout"), database.write() as session:
            session.execute(text("DELETE FROM webhook_event"))

    assert 0.2 <= time.monotonic() - started < 5
    holder.dispose()
    database.close()


def test_times_come_back_in_utc(database: Database) -> None:
    east = datetime(2026, 1, 1, 15, 0, tzinfo=timezone(timedelta(hours=3)))
    with database.write() as session:
        session.execute(
            insert(LeaseRow), [{"name": "a", "owner": "b", "renewed_at": east, "until": east}]
        )

    with database.read() as session:
        found = session.execute(select(LeaseRow.until)).scalar_one()

    assert (found, found.tzinfo) == (east, UTC)


def test_a_time_without_zone_is_refused(database: Database) -> None:
    naive = datetime(2026, 1, 1, 15, 0)

    with pytest.raises(exc.StatementError, match="naive"), database.write() as session:
        session.execute(
            insert(LeaseRow), [{"name": "a", "owner": "b", "renewed_at": naive, "until": naive}]
        )


@pytest.mark.parametrize(
    "url", ["nonsense", "oracle-of-delphi:///x"], ids=["no url", "no such engine"]
)
def test_a_url_of_no_engine_says_what_is_expected(url: str) -> None:
    with pytest.raises(StoreError, match="expected sqlite:///FILE"):
        Database(url)


def test_a_folder_that_is_not_there_is_named_as_the_cause(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'absent' / 'x.db'}")

    with pytest.raises(StoreError, match="check that the folder exists"):
        database.upgrade()
    database.close()


def test_a_file_that_is_no_database_is_named_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database " * 100)
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")

    with pytest.raises(StoreError, match="damaged"):
        database.upgrade()
    database.close()


def test_a_database_without_tables_asks_for_an_upgrade(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x.db").close()
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")

    with pytest.raises(StoreError, match="annotator db upgrade"), database.read() as session:
        find_document(session, 1, "a")
    database.close()


def test_closing_twice_is_fine(database: Database) -> None:
    database.close()
    database.close()
