"""Tables of text to be labelled: CSV or TSV with the columns ``id`` and ``text``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotator.domain import Document
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_file, read_text

__all__ = ["cut_rows", "read"]

_COLUMNS = ("id", "text")


def read(path: Path) -> Corpus:
    """Read ``*.csv`` or ``*.tsv``, also compressed (in a folder, ``pool.csv``).

    The first row names the columns, in any order; a tab in it makes the file a TSV. Cells with
    separators, quotes or line breaks are quoted (RFC 4180). Line breaks inside a text are kept.
    Other columns are ignored; a row whose text is only white space is skipped. A row with another
    number of cells, or whose id is empty or taken, is lost.

    Raises:
        InputError: naming ``file:line``, if a column is missing or a quote does not close.
    """
    source = find_file(path, "pool.csv")
    log = ReadLog()
    documents: dict[str, Document] = {}
    rows = cut_rows(read_text(source, log), source.name)
    header = rows[0][1] if rows else []
    i_id, i_text = _find_columns(header, source.name)
    for place, row in rows[1:]:
        if len(row) != len(header):
            log.lose(place, f"expected {len(header)} cells, found {len(row)}")
            continue
        name, text = row[i_id].strip(), row[i_text]
        if not name:
            log.lose(place, "the id is empty; give it its own")
        elif text.strip():
            log.add(Document(id=name, text=text), documents, place=place)
        else:
            log.skip(place, "the row holds no text")
    if len(header) > len(_COLUMNS):
        log.skip(f"{source.name}:1", f"{len(header) - 2} columns beside id and text were left out")
    return Corpus.build("csv", documents.values(), log)


def _find_columns(header: list[str], name: str) -> tuple[int, int]:
    names = [cell.strip().lower() for cell in header]
    if any(names.count(column) != 1 for column in _COLUMNS):
        raise InputError(
            f"{name}:1: expected a first row that names one column 'id' and one 'text', separated "
            "by commas or tabs"
        )
    return names.index("id"), names.index("text")


def cut_rows(text: str, name: str) -> list[tuple[str, list[str]]]:
    """Return the non-empty rows, each with the line it starts in.

    A tab in the first line makes the separator a tab, else it is a comma.

    Raises:
        InputError: naming ``file:line``, if a quote does not close.
    """
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    rows: list[tuple[str, list[str]]] = []
    with _long_cells(len(text)):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        line = 1
        try:
            for row in reader:
                if row:
                    rows.append((f"{name}:{line}", row))
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{name}:{line}: not a whole row of cells ({error})") from error
    return rows


@contextmanager
def _long_cells(length: int) -> Iterator[None]:
    """Allow cells of ``length`` characters; the ``csv`` module's limit is for the whole process."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, length))
    try:
        yield
    finally:
        csv.field_size_limit(before)
