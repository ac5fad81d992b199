"""The field of a task's data that a tag shows, by the path that its ``value`` gives. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["nest_field", "read_field"]

_STEP: Final = re.compile(r"[^.\[\]]+")


def read_field(data: Mapping[str, Any], field: str) -> Any:
    """Return what is at ``text``, ``note.text`` or ``notes[0]``; None if there is nothing.

    As in Label Studio's editor, a key with exactly this name comes first.
    """
    if field in data:
        return data[field]
    value: Any = data
    for step in _STEP.findall(field):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def nest_field(field: str, value: Any) -> dict[str, Any]:
    """Return data that have ``value`` where ``read_field`` looks for ``field``."""
    steps = re.findall(r"\[[0-9]+\]|[^.\[\]]+", field)
    for step in reversed(steps[1:]):
        value = [*([None] * int(step[1:-1])), value] if step.startswith("[") else {step: value}
    return {steps[0]: value}
