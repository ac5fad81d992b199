"""Indexes that find the next batch, the head of the queue and a place without a scan.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_task_project_id_task_state", "task")
    op.create_index("ix_task_pool", "task", ["project_id", "state", "id"])
    op.create_index("ix_document_split", "document", ["project_id", "split"])
    op.create_index("ix_push_order", "push", ["version_id", "score", "task_id"])
    op.create_index("ix_query_choice_task", "query_choice", ["task_id", "query_id"])


def downgrade() -> None:
    op.drop_index("ix_query_choice_task", "query_choice")
    op.drop_index("ix_push_order", "push")
    op.drop_index("ix_document_split", "document")
    op.drop_index("ix_task_pool", "task")
    op.create_index("ix_task_project_id_task_state", "task", ["project_id", "state"])
