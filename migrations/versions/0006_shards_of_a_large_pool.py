"""Indexes of a project's documents and sentences by id: shards of a large pool walk along them.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_document_shards", "document", ["project_id", "id"])
    op.create_index("ix_sentence_shards", "sentence", ["project_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_sentence_shards", "sentence")
    op.drop_index("ix_document_shards", "document")
