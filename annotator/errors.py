"""The exception tree. A message names the place, what was found and what to do, never text.

::

    AnnotatorError
    ├── ConfigError (ValueError)
    ├── InputError (ValueError)
    │   ├── OffsetError
    │   ├── LabelError
    │   └── TaskFormatError
    ├── StoreError
    │   ├── NotFoundError (LookupError)
    │   ├── ConflictError
    │   └── NewerDatabaseError
    ├── ModelError
    │   ├── CheckpointError
    │   ├── TrainingError
    │   ├── OutOfTimeError
    │   └── ShapeError (ValueError)
    ├── JobError
    │   ├── LeaseLostError
    │   ├── ForeignMessageError
    │   └── CancelledError
    └── StudioError
        └── StudioIdentityError
"""

from __future__ import annotations

__all__ = [
    "AnnotatorError",
    "CancelledError",
    "CheckpointError",
    "ConfigError",
    "ConflictError",
    "ForeignMessageError",
    "InputError",
    "JobError",
    "LabelError",
    "LeaseLostError",
    "ModelError",
    "NewerDatabaseError",
    "NotFoundError",
    "OffsetError",
    "OutOfTimeError",
    "ShapeError",
    "StoreError",
    "StudioError",
    "StudioIdentityError",
    "TaskFormatError",
    "TrainingError",
]


class AnnotatorError(Exception):
    """The root of everything this project raises on purpose."""


class ConfigError(AnnotatorError, ValueError):
    """A setting, a file of settings or a labeling configuration is missing or wrong."""


class InputError(AnnotatorError, ValueError):
    """Input from outside (a file, a request, an argument) is invalid."""


class OffsetError(InputError):
    """A span lies outside its text or does not hold the mention it claims."""


class LabelError(InputError):
    """An entity or relation type is not in the schema."""


class TaskFormatError(InputError):
    """A Label Studio task, annotation or prediction has an unexpected shape."""


class StoreError(AnnotatorError):
    """The database refused, is unreachable, or does not fit this program."""


class NotFoundError(StoreError, LookupError):
    """A row asked for by name or id does not exist."""


class ConflictError(StoreError):
    """A row exists already, or was changed by another program meanwhile."""


class NewerDatabaseError(StoreError):
    """A newer program has migrated the database; this one must leave it alone."""


class ModelError(AnnotatorError):
    """The model cannot be built, loaded, trained or applied."""


class CheckpointError(ModelError):
    """A checkpoint directory is incomplete, damaged or of another format version."""


class TrainingError(ModelError):
    """Training cannot start or go on: no data, or a loss that is not finite."""


class OutOfTimeError(ModelError):
    """A request took longer than it may; what was computed so far is stored."""


class ShapeError(ModelError, ValueError):
    """The shapes of tensors or arrays do not fit together."""


class JobError(AnnotatorError):
    """A background job could not be queued, claimed or finished."""


class LeaseLostError(JobError):
    """Another worker holds a lease that this worker believed to hold."""


class ForeignMessageError(JobError):
    """A message in the queue is not one that this project's programs have sent."""


class CancelledError(JobError):
    """Somebody asked for this run to stop."""


class StudioError(AnnotatorError):
    """Label Studio is unreachable, refused a call, or answered something unexpected.

    ``status`` is the HTTP status of a refusal.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StudioIdentityError(StudioError):
    """Another Label Studio project answers in the place of the one we are connected to."""
