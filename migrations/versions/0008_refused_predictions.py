"""Tasks of which Label Studio refuses a version's prediction are set aside.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task", sa.Column("refused_version", sa.String(200)))


def downgrade() -> None:
    with op.batch_alter_table("task") as batch:
        batch.drop_column("refused_version")
