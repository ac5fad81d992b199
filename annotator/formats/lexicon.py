"""A file of terms and their types: what is known of the labels before anything is labelled."""

from __future__ import annotations

from pathlib import Path

from annotator.domain import LabelSchema
from annotator.errors import InputError
from annotator.formats.corpus import ReadLog
from annotator.formats.source import find_file, read_text
from annotator.formats.table import cut_rows
from annotator.text.lexicon import term_key

__all__ = ["read_lexicon"]

_HEADER = ["term", "type"]
_NAME = "lexicon.tsv"
_SHOWN = 5  # faults in one message


def read_lexicon(path: Path, schema: LabelSchema) -> list[tuple[str, str]]:
    """Read a table of two columns, term and type, by tabs or commas; a header row is optional.

    Cells are stripped of white space. A term repeated with the same type is kept once; ``term_key``
    decides which terms are the same.

    Raises:
        InputError: naming ``file:line``, if a row has another number of cells, a term has no
            visible character or two types, or a type is not in the schema. Messages do not quote
            terms.
    """
    path = find_file(path, _NAME)
    rows = cut_rows(read_text(path, ReadLog()), path.name)
    if rows and [cell.strip().lower() for cell in rows[0][1]] == _HEADER:
        rows = rows[1:]
    faults: list[str] = []
    terms: dict[str, tuple[str, str, str]] = {}
    for place, row in rows:
        key = term_key(row[0])
        fault = _fault(row, key, schema)
        if fault is None:
            term, type_ = row[0].strip(), row[1].strip()
            _, known, before = terms.setdefault(key, (term, type_, place))
            if known == type_:
                continue
            fault = f"this term has the type {known} in {before} and {type_} here; keep one"
        faults.append(f"{place}: {fault}")
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise InputError("; ".join(faults[:_SHOWN] + more))
    if not terms:
        raise InputError(f"{path.name}: no terms; expected a term, a tab and a type on each line")
    return [(term, type_) for term, type_, _ in terms.values()]


def _fault(row: list[str], key: str, schema: LabelSchema) -> str | None:
    if len(row) != 2:
        return f"expected a term and a type, found {len(row)} cells"
    if not key:
        return "the term is empty"
    if row[1].strip() not in schema.entity_types:
        return (
            f"the type {row[1].strip()!r} is not one of the project's: "
            f"{', '.join(schema.entity_types)}"
        )
    return None
