"""Which workers are alive."""

from __future__ import annotations

from annotator.store.database import Database
from annotator.store.leases import WORKER_LEASE, holders

__all__ = ["workers_alive"]


def workers_alive(database: Database) -> list[str]:
    """Return the names of the workers that hold a live presence lease."""
    with database.read() as session:
        return holders(session, WORKER_LEASE)
