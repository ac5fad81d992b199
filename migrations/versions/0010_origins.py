"""Which Label Studio project a task or an annotation came from, and what read the annotation.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_FORMER: Final = -(10**12)  # tasks of an earlier Label Studio had ids below this one
_IDENTITY: Final = {"task": ["studio_id"], "annotation": ["source", "external_id", "revision"]}
_IS_FORMER: Final = "source = 'studio' AND external_id LIKE '%/%'"
_OF_PROJECT: Final = """
    FROM origin JOIN project ON project.id = origin.project_id
    WHERE origin.host = COALESCE(project.studio_host, '')
      AND origin.key = COALESCE(project.studio_key, '')
"""


def upgrade() -> None:
    op.create_table(
        "origin",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=400), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("stranger", sa.String(length=100), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_origin_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_origin")),
        sa.UniqueConstraint(
            "project_id", "host", "key", name=op.f("uq_origin_project_id_host_key")
        ),
    )
    for table in ("task", "annotation"):
        with op.batch_alter_table(table, recreate="never") as batch:
            batch.add_column(sa.Column("origin_id", sa.Integer(), nullable=True))
    _find_origins()
    op.drop_index("uq_annotation_one_current", "annotation")
    for table in ("task", "annotation"):
        with op.batch_alter_table(table) as batch:
            batch.alter_column("origin_id", existing_type=sa.Integer(), nullable=False)
            foreign_key = op.f(f"fk_{table}_origin_id")
            batch.create_foreign_key(foreign_key, "origin", ["origin_id"], ["id"])
            _make_unique(batch, table, first="origin_id", before="project_id")
            if table == "annotation":
                batch.add_column(sa.Column("read_by", sa.String(length=64), nullable=True))
                _allow_states(batch, ", 'unread'")
    # Ids that were told apart by their keys may now be the same.
    slash = _find_slash()
    op.execute(
        f"UPDATE annotation SET external_id = substr(external_id, {slash} + 1) "  # noqa: S608
        f"WHERE {_IS_FORMER}"
    )
    _index_current(first="origin_id")


def downgrade() -> None:
    op.execute(
        f"UPDATE task SET state = 'deleted', studio_id = {_FORMER} - id "  # noqa: S608
        f"WHERE studio_id > {_FORMER} AND origin_id NOT IN (SELECT origin.id {_OF_PROJECT})"
    )
    op.execute(
        "UPDATE annotation SET external_id = "  # noqa: S608
        "(SELECT origin.key FROM origin WHERE origin.id = annotation.origin_id) "
        "|| '/' || external_id "
        f"WHERE source = 'studio' AND origin_id NOT IN (SELECT origin.id {_OF_PROJECT})"
    )
    op.execute("UPDATE annotation SET state = 'skipped' WHERE state = 'unread'")
    op.drop_index("uq_annotation_one_current", "annotation")
    for table in ("task", "annotation"):
        with op.batch_alter_table(table) as batch:
            _make_unique(batch, table, first="project_id", before="origin_id")
            batch.drop_constraint(op.f(f"fk_{table}_origin_id"), type_="foreignkey")
            batch.drop_column("origin_id")
            if table == "annotation":
                batch.drop_column("read_by")
                _allow_states(batch, "")
    _index_current(first="project_id")
    op.drop_table("origin")


def _make_unique(batch: BatchOperations, table: str, *, first: str, before: str) -> None:
    rest = _IDENTITY[table]
    batch.drop_constraint(op.f("_".join(["uq", table, before, *rest])), type_="unique")
    batch.create_unique_constraint(op.f("_".join(["uq", table, first, *rest])), [first, *rest])


def _allow_states(batch: BatchOperations, more: str) -> None:
    batch.drop_constraint(op.f("ck_annotation_state"), type_="check")
    batch.create_check_constraint(
        op.f("ck_annotation_state"), f"state IN ('submitted', 'skipped', 'deleted'{more})"
    )


def _index_current(*, first: str) -> None:
    op.create_index(
        "uq_annotation_one_current",
        "annotation",
        [first, "source", "external_id"],
        unique=True,
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    )


def _find_slash() -> str:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    return f"{'instr' if is_sqlite else 'strpos'}(external_id, '/')"


def _find_origins() -> None:
    """Give what is there its origin: the project's present one, or an earlier one's."""
    key = f"substr(external_id, 1, {_find_slash()} - 1)"
    op.execute("INSERT INTO origin (project_id, host, key) SELECT id, '', '' FROM project")
    op.execute(
        "INSERT INTO origin (project_id, host, key) SELECT id, COALESCE(studio_host, ''), "
        "studio_key FROM project WHERE studio_key IS NOT NULL"
    )
    op.execute(
        f"INSERT INTO origin (project_id, host, key) SELECT DISTINCT project_id, '', {key} "  # noqa: S608
        f"FROM annotation WHERE {_IS_FORMER} AND NOT EXISTS (SELECT 1 FROM origin AS o WHERE "
        f"o.project_id = annotation.project_id AND o.host = '' AND o.key = {key})"
    )
    op.execute(
        "INSERT INTO origin (project_id, host, key) "  # noqa: S608
        f"SELECT DISTINCT project_id, '', 'former' FROM task WHERE studio_id <= {_FORMER}"
    )
    present = f"(SELECT origin.id {_OF_PROJECT} AND project.id = %s.project_id)"
    op.execute(f"UPDATE task SET origin_id = {present % 'task'}")  # noqa: S608
    op.execute(
        "UPDATE task SET origin_id = (SELECT id FROM origin WHERE key = 'former' "  # noqa: S608
        f"AND origin.project_id = task.project_id) WHERE studio_id <= {_FORMER}"
    )
    op.execute(f"UPDATE annotation SET origin_id = {present % 'annotation'}")  # noqa: S608
    op.execute(
        "UPDATE annotation SET origin_id = (SELECT id FROM origin WHERE host = '' AND key = '' "
        "AND origin.project_id = annotation.project_id) WHERE source = 'import'"
    )
    op.execute(
        "UPDATE annotation SET origin_id = (SELECT id FROM origin WHERE host = '' "  # noqa: S608
        f"AND key = {key} AND origin.project_id = annotation.project_id) WHERE {_IS_FORMER}"
    )
