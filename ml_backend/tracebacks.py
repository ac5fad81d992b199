"""What of an exception may be logged: where and what kind, never its message or its values."""

from __future__ import annotations

import traceback
from pathlib import Path

from annotator.errors import AnnotatorError

__all__ = ["describe_fault"]

_MOST_FRAMES = 12


def describe_fault(error: BaseException) -> dict[str, str]:
    """Return log fields for ``error``.

    Messages of our own errors never hold document text and are included. Other messages may quote
    their input, so only the type and the places in the code are.
    """
    fields = {"kind": type(error).__name__}
    if isinstance(error, AnnotatorError):
        fields["reason"] = str(error)
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    fields["trace"] = " > ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)
    return fields
