"""A clock that was wrong: all times that a database holds, moved."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from annotator.store.database import Database
from db import Base
from db.types import UtcDateTime

__all__ = ["shift_times"]


def shift_times(database: Database, by_s: float) -> None:
    """Move every stored time by some seconds.

    Later times are what a clock wrote that was ahead until it was corrected; earlier ones are what
    it wrote before it jumped ahead.
    """
    by = timedelta(seconds=by_s)
    with database.write() as session:
        for table in Base.metadata.sorted_tables:
            times = [c for c in table.columns if isinstance(c.type, UtcDateTime)]
            for row in session.execute(select(table)).mappings().all() if times else ():
                same = [column == row[column.name] for column in table.primary_key.columns]
                moved = {c.name: row[c.name] + by for c in times if row[c.name] is not None}
                if moved:
                    session.execute(update(table).where(*same).values(**moved))
