"""Dataclasses and rows: each field is the column of the same name, unless given otherwise."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["columns_of", "from_row"]

T = TypeVar("T", bound="DataclassInstance")


def from_row(kind: type[T], row: object, **given: Any) -> T:
    """Make a ``kind`` from a row; fields in ``given`` are not read from it."""
    names = [field.name for field in fields(kind) if field.name not in given]
    return kind(**{name: getattr(row, name) for name in names}, **given)


def columns_of(value: DataclassInstance, *, but: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields of ``value`` by name, except ``but``, which are not columns."""
    names = [field.name for field in fields(value) if field.name not in but]
    return {name: getattr(value, name) for name in names}
