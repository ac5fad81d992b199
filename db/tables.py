"""All tables: singular names, every constraint named by one convention."""

from db.base import Base
from db.tables_labels import AnnotationRow, EntityRow, RelationRow
from db.tables_model import (
    AcquisitionRow,
    EvaluationRow,
    ModelVersionRow,
    PredictionRow,
    RunEventRow,
    SnapshotAnnotationRow,
    SnapshotRow,
    TrainingRunRow,
)
from db.tables_project import (
    AuditRow,
    DocumentBandRow,
    DocumentRow,
    GroupAliasRow,
    ImportRow,
    LabelSchemaRow,
    ProjectRow,
    SentenceRow,
)
from db.tables_studio import (
    LeaseRow,
    OriginRow,
    PushRow,
    QueryChoiceRow,
    QueryLogRow,
    TaskRow,
    WebhookEventRow,
)

__all__ = [
    "AcquisitionRow",
    "AnnotationRow",
    "AuditRow",
    "Base",
    "DocumentBandRow",
    "DocumentRow",
    "EntityRow",
    "EvaluationRow",
    "GroupAliasRow",
    "ImportRow",
    "LabelSchemaRow",
    "LeaseRow",
    "ModelVersionRow",
    "OriginRow",
    "PredictionRow",
    "ProjectRow",
    "PushRow",
    "QueryChoiceRow",
    "QueryLogRow",
    "RelationRow",
    "RunEventRow",
    "SentenceRow",
    "SnapshotAnnotationRow",
    "SnapshotRow",
    "TaskRow",
    "TrainingRunRow",
    "WebhookEventRow",
]
