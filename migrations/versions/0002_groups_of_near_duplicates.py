"""Groups of near-duplicate documents.

Documents that are there already are grouped when documents are next imported or a run begins.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("document", recreate="never") as batch:
        batch.add_column(sa.Column("group_key", sa.String(length=400), nullable=True))
        batch.create_index("ix_document_group", ["project_id", "group_key", "split"])
    op.create_table(
        "document_band",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("band", sa.BigInteger(), nullable=False),
        sa.Column("document_id", BIG_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_document_band_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["document_id"], ["document.id"], name=op.f("fk_document_band_document_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "band", "document_id", name=op.f("pk_document_band")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "group_alias",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=400), nullable=False),
        sa.Column("group_key", sa.String(length=400), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_group_alias_project_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_group_alias")),
    )
    op.create_index(op.f("ix_group_alias_group_key"), "group_alias", ["group_key"])


def downgrade() -> None:
    op.drop_table("group_alias")
    op.drop_table("document_band")
    with op.batch_alter_table("document", recreate="never") as batch:
        batch.drop_index("ix_document_group")
        batch.drop_column("group_key")
