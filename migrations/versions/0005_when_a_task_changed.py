"""When a task of Label Studio last changed, and an index of the labels of a region.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("task", recreate="never") as batch:
        batch.add_column(sa.Column("seen_at", sa.DateTime(), nullable=True))
    op.create_index(
        "ix_annotation_region", "annotation", ["document_id", "region_start", "region_end"]
    )


def downgrade() -> None:
    op.drop_index("ix_annotation_region", "annotation")
    with op.batch_alter_table("task", recreate="never") as batch:
        batch.drop_column("seen_at")
