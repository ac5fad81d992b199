"""The first tables.

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("studio_host", sa.String(length=400), nullable=True),
        sa.Column("studio_key", sa.String(length=100), nullable=True),
        sa.Column("studio_project_id", sa.Integer(), nullable=True),
        sa.Column("pulled_until", sa.DateTime(), nullable=True),
        sa.Column("pulled_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("unit IN ('sentence', 'document')", name=op.f("ck_project_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("name", name=op.f("uq_project_name")),
        sa.UniqueConstraint(
            "studio_host", "studio_key", name=op.f("uq_project_studio_host_studio_key")
        ),
    )
    op.create_table(
        "webhook_event",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("studio_project_id", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("dedupe_key", sa.String(length=64), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("processed_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('new', 'done', 'failed', 'ignored')", name=op.f("ck_webhook_event_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_event")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_webhook_event_dedupe_key")),
    )
    with op.batch_alter_table("webhook_event", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_webhook_event_state_webhook_event_id"), ["state", "id"], unique=False
        )

    op.create_table(
        "audit",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_audit_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_project_id"), ["project_id"], unique=False)

    op.create_table(
        "document",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=400), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=20), nullable=False),
        sa.Column("meta", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("split IN ('train', 'holdout')", name=op.f("ck_document_split")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_document_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_document_project_id_name")),
    )
    with op.batch_alter_table("document", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_document_text_hash"), ["text_hash"], unique=False)

    op.create_table(
        "label_schema",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("config_xml", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_label_schema_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_schema")),
    )
    with op.batch_alter_table("label_schema", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_label_schema_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "snapshot",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("label_schema", JSON, nullable=False),
        sa.Column("n_annotations", sa.Integer(), nullable=False),
        sa.Column("n_sentences", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_snapshot_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot")),
    )
    with op.batch_alter_table("snapshot", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_snapshot_project_id"), ["project_id"], unique=False)

    op.create_table(
        "sentence",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("document_id", BIG_ID, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("n_words", sa.Integer(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["document.id"], name=op.f("fk_sentence_document_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_sentence_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sentence")),
        sa.UniqueConstraint("document_id", "ordinal", name=op.f("uq_sentence_document_id_ordinal")),
    )
    with op.batch_alter_table("sentence", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sentence_project_id_sentence_text_hash"),
            ["project_id", "text_hash"],
            unique=False,
        )

    op.create_table(
        "training_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("trigger", sa.String(length=50), nullable=False),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("lease_until", sa.DateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("progress", JSON, nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("snapshot_id", sa.Integer(), nullable=True),
        sa.Column("reasons", JSON, nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'held', 'failed', 'cancelled')",
            name=op.f("ck_training_run_state"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_training_run_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshot.id"], name=op.f("fk_training_run_snapshot_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_run")),
    )
    with op.batch_alter_table("training_run", schema=None) as batch_op:
        batch_op.create_index(
            "uq_training_run_one_running",
            ["project_id"],
            unique=True,
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        )

    op.create_table(
        "model_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("snapshot_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("promoted_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('candidate', 'active', 'held', 'retired')",
            name=op.f("ck_model_version_state"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_model_version_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["training_run.id"], name=op.f("fk_model_version_run_id")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshot.id"], name=op.f("fk_model_version_snapshot_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_version")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_model_version_project_id_name")),
    )
    with op.batch_alter_table("model_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_version_run_id"), ["run_id"], unique=False)
        batch_op.create_index(
            "uq_model_version_one_active",
            ["project_id"],
            unique=True,
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        )

    op.create_table(
        "task",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("studio_id", BIG_ID, nullable=False),
        sa.Column("document_id", BIG_ID, nullable=False),
        sa.Column("sentence_id", BIG_ID, nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'labelled', 'skipped', 'deleted')", name=op.f("ck_task_state")
        ),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_task_document_id")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_task_project_id")),
        sa.ForeignKeyConstraint(["sentence_id"], ["sentence.id"], name=op.f("fk_task_sentence_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        sa.UniqueConstraint("project_id", "studio_id", name=op.f("uq_task_project_id_studio_id")),
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task_document_id"), ["document_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_task_project_id_task_state"), ["project_id", "state"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_task_sentence_id"), ["sentence_id"], unique=False)

    op.create_table(
        "acquisition",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("sentence_id", BIG_ID, nullable=False),
        sa.Column("strategy", sa.String(length=50), nullable=False),
        sa.Column("utility", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sentence_id"], ["sentence.id"], name=op.f("fk_acquisition_sentence_id")
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_version.id"], name=op.f("fk_acquisition_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acquisition")),
        sa.UniqueConstraint(
            "version_id",
            "strategy",
            "sentence_id",
            name=op.f("uq_acquisition_version_id_strategy_sentence_id"),
        ),
    )
    with op.batch_alter_table("acquisition", schema=None) as batch_op:
        batch_op.create_index(
            "ix_acquisition_order", ["version_id", "strategy", "utility"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_acquisition_sentence_id"), ["sentence_id"], unique=False
        )

    op.create_table(
        "annotation",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("document_id", BIG_ID, nullable=False),
        sa.Column("task_id", BIG_ID, nullable=True),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("external_id", sa.String(length=400), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("region_start", sa.Integer(), nullable=False),
        sa.Column("region_end", sa.Integer(), nullable=False),
        sa.Column("annotator", sa.String(length=200), nullable=True),
        sa.Column("ground_truth", sa.Boolean(), nullable=False),
        sa.Column("bulk_created", sa.Boolean(), nullable=False),
        sa.Column("lead_time_s", sa.Double(), nullable=True),
        sa.Column("parent_prediction", BIG_ID, nullable=True),
        sa.Column("parent_version", sa.String(length=200), nullable=True),
        sa.Column("diff", JSON, nullable=True),
        sa.Column("raw", JSON, nullable=True),
        sa.Column("issues", JSON, nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("source IN ('studio', 'import')", name=op.f("ck_annotation_source")),
        sa.CheckConstraint(
            "state IN ('submitted', 'skipped', 'deleted')", name=op.f("ck_annotation_state")
        ),
        sa.ForeignKeyConstraint(
            ["document_id"], ["document.id"], name=op.f("fk_annotation_document_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_annotation_project_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_annotation_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation")),
        sa.UniqueConstraint(
            "project_id",
            "source",
            "external_id",
            "revision",
            name=op.f("uq_annotation_project_id_source_external_id_revision"),
        ),
    )
    with op.batch_alter_table("annotation", schema=None) as batch_op:
        batch_op.create_index(
            "ix_annotation_current",
            ["project_id", "document_id"],
            unique=False,
            sqlite_where=sa.text("is_current"),
            postgresql_where=sa.text("is_current"),
        )
        batch_op.create_index(batch_op.f("ix_annotation_task_id"), ["task_id"], unique=False)
        batch_op.create_index(
            "uq_annotation_one_current",
            ["project_id", "source", "external_id"],
            unique=True,
            sqlite_where=sa.text("is_current"),
            postgresql_where=sa.text("is_current"),
        )

    op.create_table(
        "evaluation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(length=20), nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("n_sentences", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_version.id"], name=op.f("fk_evaluation_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
    )
    with op.batch_alter_table("evaluation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_evaluation_version_id"), ["version_id"], unique=False)

    op.create_table(
        "prediction",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("entities", JSON, nullable=False),
        sa.Column("relations", JSON, nullable=False),
        sa.Column("signals", JSON, nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_version.id"], name=op.f("fk_prediction_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction")),
        sa.UniqueConstraint(
            "version_id", "text_hash", name=op.f("uq_prediction_version_id_text_hash")
        ),
    )
    op.create_table(
        "push",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("task_id", BIG_ID, nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("pushed_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_push_project_id")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_push_task_id")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_version.id"], name=op.f("fk_push_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push")),
        sa.UniqueConstraint("version_id", "task_id", name=op.f("uq_push_version_id_task_id")),
    )
    with op.batch_alter_table("push", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_push_task_id"), ["task_id"], unique=False)

    op.create_table(
        "query_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=True),
        sa.Column("strategy", sa.String(length=50), nullable=False),
        sa.Column("seed", BIG_ID, nullable=False),
        sa.Column("n_pool", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_query_log_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_version.id"], name=op.f("fk_query_log_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_query_log")),
    )
    with op.batch_alter_table("query_log", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_query_log_project_id"), ["project_id"], unique=False)

    op.create_table(
        "entity",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("annotation_id", BIG_ID, nullable=False),
        sa.Column("local_id", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=200), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotation.id"], name=op.f("fk_entity_annotation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entity")),
    )
    with op.batch_alter_table("entity", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_entity_annotation_id"), ["annotation_id"], unique=False
        )

    op.create_table(
        "query_choice",
        sa.Column("query_id", sa.Integer(), nullable=False),
        sa.Column("task_id", BIG_ID, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("utility", sa.Double(), nullable=True),
        sa.Column("parts", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["query_id"], ["query_log.id"], name=op.f("fk_query_choice_query_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_query_choice_task_id")),
        sa.PrimaryKeyConstraint("query_id", "task_id", name=op.f("pk_query_choice")),
    )
    op.create_table(
        "relation",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("annotation_id", BIG_ID, nullable=False),
        sa.Column("type", sa.String(length=200), nullable=True),
        sa.Column("head", sa.String(length=200), nullable=False),
        sa.Column("tail", sa.String(length=200), nullable=False),
        sa.Column("bidirectional", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotation.id"], name=op.f("fk_relation_annotation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relation")),
    )
    with op.batch_alter_table("relation", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_relation_annotation_id"), ["annotation_id"], unique=False
        )

    op.create_table(
        "snapshot_annotation",
        sa.Column("snapshot_id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", BIG_ID, nullable=False),
        sa.Column("split", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotation.id"], name=op.f("fk_snapshot_annotation_annotation_id")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshot.id"], name=op.f("fk_snapshot_annotation_snapshot_id")
        ),
        sa.PrimaryKeyConstraint(
            "snapshot_id", "annotation_id", name=op.f("pk_snapshot_annotation")
        ),
    )


def downgrade() -> None:
    op.drop_table("snapshot_annotation")
    with op.batch_alter_table("relation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_relation_annotation_id"))

    op.drop_table("relation")
    op.drop_table("query_choice")
    with op.batch_alter_table("entity", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_entity_annotation_id"))

    op.drop_table("entity")
    with op.batch_alter_table("query_log", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_query_log_project_id"))

    op.drop_table("query_log")
    with op.batch_alter_table("push", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_push_task_id"))

    op.drop_table("push")
    op.drop_table("prediction")
    with op.batch_alter_table("evaluation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_evaluation_version_id"))

    op.drop_table("evaluation")
    with op.batch_alter_table("annotation", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_annotation_one_current",
            sqlite_where=sa.text("is_current"),
            postgresql_where=sa.text("is_current"),
        )
        batch_op.drop_index(batch_op.f("ix_annotation_task_id"))
        batch_op.drop_index(
            "ix_annotation_current",
            sqlite_where=sa.text("is_current"),
            postgresql_where=sa.text("is_current"),
        )

    op.drop_table("annotation")
    with op.batch_alter_table("acquisition", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_acquisition_sentence_id"))
        batch_op.drop_index("ix_acquisition_order")

    op.drop_table("acquisition")
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_sentence_id"))
        batch_op.drop_index(batch_op.f("ix_task_project_id_task_state"))
        batch_op.drop_index(batch_op.f("ix_task_document_id"))

    op.drop_table("task")
    with op.batch_alter_table("model_version", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_model_version_one_active",
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        )
        batch_op.drop_index(batch_op.f("ix_model_version_run_id"))

    op.drop_table("model_version")
    with op.batch_alter_table("training_run", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_training_run_one_running",
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        )

    op.drop_table("training_run")
    with op.batch_alter_table("sentence", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sentence_project_id_sentence_text_hash"))

    op.drop_table("sentence")
    with op.batch_alter_table("snapshot", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_snapshot_project_id"))

    op.drop_table("snapshot")
    with op.batch_alter_table("label_schema", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_label_schema_project_id"))

    op.drop_table("label_schema")
    with op.batch_alter_table("document", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_document_text_hash"))

    op.drop_table("document")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_project_id"))

    op.drop_table("audit")
    with op.batch_alter_table("webhook_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_webhook_event_state_webhook_event_id"))

    op.drop_table("webhook_event")
    op.drop_table("project")
    op.drop_table("lease")
