"""Named leases: work that one worker at a time may do; a lease expires if its holder dies."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from annotator.errors import LeaseLostError
from annotator.store.clock import SLACK, instant
from db.tables import LeaseRow

__all__ = [
    "WORKER_LEASE",
    "check_lease",
    "holders",
    "is_live",
    "release_lease",
    "renew_lease",
    "take_lease",
]
#: Each living worker holds a lease whose name begins with this.
WORKER_LEASE = "worker:"


def is_live(session: Session, renewed_at: Any, until: Any) -> ColumnElement[bool]:
    """Return the condition that a lease, given by its two columns, has not expired.

    One that was renewed in the future has: the clock was ahead then and has been corrected, so the
    holder's next renewal comes, if it lives, long before the end that the row names.
    """
    return and_(
        renewed_at <= instant(session, after_s=SLACK.total_seconds()), until > instant(session)
    )


def take_lease(session: Session, name: str, *, owner: str, lease_s: float) -> bool:
    """Take or extend a lease; return False if another owner holds it."""
    if renew_lease(session, name, owner=owner, lease_s=lease_s):
        return True
    term = _term(session, lease_s)
    taken = session.execute(
        update(LeaseRow)
        .where(LeaseRow.name == name, ~is_live(session, LeaseRow.renewed_at, LeaseRow.until))
        .values(owner=owner, **term)
        .returning(LeaseRow.name)
    ).first()
    if taken is not None:
        return True
    if session.get(LeaseRow, name) is not None:
        return False
    try:
        with session.begin_nested():
            session.add(LeaseRow(name=name, owner=owner, **term))
    except IntegrityError:
        return False
    return True


def renew_lease(session: Session, name: str, *, owner: str, lease_s: float) -> bool:
    """Extend a lease; return False if it is no longer ours, even if nobody holds it."""
    renewed = session.execute(
        update(LeaseRow)
        .where(LeaseRow.name == name, LeaseRow.owner == owner)
        .values(**_term(session, lease_s))
        .returning(LeaseRow.name)
    ).first()
    return renewed is not None


def check_lease(session: Session, name: str, *, owner: str) -> None:
    """Lock a lease that is ours until the transaction ends, so that nobody else writes meanwhile.

    An ``owner`` that is used for one holding only makes it a fencing token (Kleppmann, "How to do
    distributed locking", 2016). Whether the lease has expired does not matter until it is taken.

    Raises:
        LeaseLostError: if it is not ours.
    """
    query = select(LeaseRow.name).where(LeaseRow.name == name, LeaseRow.owner == owner)
    if session.execute(query.with_for_update(read=True)).first() is None:
        raise LeaseLostError(
            f"the lease {name} was lost: another worker has taken it, and nothing was written"
        )


def release_lease(session: Session, name: str, *, owner: str) -> None:
    """Release a lease if it is still ours."""
    session.execute(delete(LeaseRow).where(LeaseRow.name == name, LeaseRow.owner == owner))


def holders(session: Session, prefix: str) -> list[str]:
    """Return the owners of live leases whose name begins with ``prefix``."""
    return list(
        session.scalars(
            select(LeaseRow.owner)
            .where(
                LeaseRow.name.startswith(prefix, autoescape=True),
                is_live(session, LeaseRow.renewed_at, LeaseRow.until),
            )
            .order_by(LeaseRow.name)
        )
    )


def _term(session: Session, lease_s: float) -> dict[str, Any]:
    return {"renewed_at": instant(session), "until": instant(session, after_s=lease_s)}
