"""Named leases: work that one worker at a time may do; a lease expires if its holder dies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.tables import LeaseRow

__all__ = [
    "WORKER_LEASE",
    "holders",
    "release_lease",
    "take_lease",
]
#: Each living worker holds a lease whose name begins with this.
WORKER_LEASE = "worker:"


def take_lease(session: Session, name: str, *, owner: str, lease_s: float) -> bool:
    """Take or extend a lease; return False if another owner holds it."""
    now = datetime.now(UTC)
    until = now + timedelta(seconds=lease_s)
    taken = session.execute(
        update(LeaseRow)
        .where(LeaseRow.name == name, (LeaseRow.owner == owner) | (LeaseRow.until < now))
        .values(owner=owner, until=until)
        .returning(LeaseRow.name)
    ).first()
    if taken is not None:
        return True
    if session.get(LeaseRow, name) is not None:
        return False
    try:
        with session.begin_nested():
            session.add(LeaseRow(name=name, owner=owner, until=until))
    except IntegrityError:
        return False
    return True


def release_lease(session: Session, name: str, *, owner: str) -> None:
    """Release a lease if it is still ours."""
    session.execute(delete(LeaseRow).where(LeaseRow.name == name, LeaseRow.owner == owner))


def holders(session: Session, prefix: str, *, now: datetime) -> list[str]:
    """Return the owners of live leases whose name begins with ``prefix``."""
    return list(
        session.scalars(
            select(LeaseRow.owner)
            .where(LeaseRow.name.startswith(prefix, autoescape=True), LeaseRow.until >= now)
            .order_by(LeaseRow.name)
        )
    )
