"""Holding a named lease while a block of work runs."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from annotator.errors import StoreError
from annotator.logs import get_logger
from annotator.store.database import Database
from annotator.store.leases import check_lease, release_lease, renew_lease, take_lease

__all__ = ["hold_lease"]

_log = get_logger("jobs")


@contextmanager
def hold_lease(
    database: Database, name: str, *, owner: str, lease_s: float
) -> Iterator[Database | None]:
    """Take a lease, keep it alive from a thread, and release it at the end of the block.

    Two blocks never hold one lease, not even in two threads of one worker.

    Yields:
        The database, which writes nothing (LeaseLostError) once the lease is lost; None if
        somebody else holds the lease: then do nothing.
    """
    me = f"{owner}/{uuid.uuid4().hex[:8]}"
    with database.write() as session:
        mine = take_lease(session, name, owner=me, lease_s=lease_s)
    if not mine:
        yield None
        return
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease_s / 3):
            try:
                with database.write() as session:
                    if not renew_lease(session, name, owner=me, lease_s=lease_s):
                        _log.warning("lease.lost", lease=name)
                        return
            except StoreError as error:
                _log.warning("lease.not_renewed", lease=name, error=str(error))

    keeper = threading.Thread(target=renew, name=f"lease-{name}", daemon=True)
    keeper.start()
    try:
        yield database.guarded(lambda session: check_lease(session, name, owner=me))
    finally:
        done.set()
        keeper.join()
        with database.write() as session:
            release_lease(session, name, owner=me)
