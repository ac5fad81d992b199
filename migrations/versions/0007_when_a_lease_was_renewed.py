"""When a lease was last renewed, and up to which event a pull knew what had changed.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_EVENT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("lease", recreate="never") as batch:
        batch.add_column(sa.Column("renewed_at", sa.DateTime(), nullable=True))
    op.execute("UPDATE lease SET renewed_at = until")  # expired: its holder is of the old program
    with op.batch_alter_table("lease") as batch:
        batch.alter_column("renewed_at", existing_type=sa.DateTime(), nullable=False)
    with op.batch_alter_table("training_run", recreate="never") as batch:
        batch.add_column(sa.Column("renewed_at", sa.DateTime(), nullable=True))
    with op.batch_alter_table("project", recreate="never") as batch:
        batch.add_column(sa.Column("pulled_event", _EVENT, nullable=False, server_default="0"))
    # The first pull looks at the tasks of the last events again; of all would take long.
    op.execute(
        "UPDATE project SET pulled_event = "
        "(SELECT COALESCE(MAX(id), 0) - 1000 FROM webhook_event WHERE state = 'done')"
    )


def downgrade() -> None:
    with op.batch_alter_table("project", recreate="never") as batch:
        batch.drop_column("pulled_event")
    with op.batch_alter_table("training_run", recreate="never") as batch:
        batch.drop_column("renewed_at")
    with op.batch_alter_table("lease", recreate="never") as batch:
        batch.drop_column("renewed_at")
