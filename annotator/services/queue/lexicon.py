"""The project's lexicon: checked on import, kept in the project's folder, matched in text."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from annotator.domain import Entity, LabelSchema, Token
from annotator.errors import ConfigError
from annotator.formats.lexicon import read_lexicon
from annotator.settings import LEXICON_FILE
from annotator.store.cold_start import NO_MODEL, lexicon_name
from annotator.store.documents import StoredSentence
from annotator.text.lexicon import Lexicon

__all__ = [
    "drop_lexicon",
    "find_terms",
    "keep_lexicon",
    "load_lexicon",
    "warmup_name",
]


def keep_lexicon(home: Path, path: Path, schema: LabelSchema | None) -> None:
    """Check a file of terms and keep it in the project's folder, replacing an earlier one.

    Raises:
        ConfigError: if the project has no label types yet.
        InputError: if the file is invalid.
    """
    if schema is None or not schema.entity_types:
        raise ConfigError(
            "the project has no label types yet to check the lexicon against; connect it to "
            "Label Studio (annotator connect) or import gold first"
        )
    terms = read_lexicon(path, schema)
    content = io.StringIO()
    csv.writer(content, delimiter="\t", lineterminator="\n").writerows([("term", "type"), *terms])
    aside = home / f"{LEXICON_FILE}.new"
    aside.write_text(content.getvalue(), encoding="utf-8")
    aside.replace(home / LEXICON_FILE)


def drop_lexicon(home: Path) -> bool:
    """Remove the lexicon; return whether there was one."""
    is_there = (home / LEXICON_FILE).exists()
    (home / LEXICON_FILE).unlink(missing_ok=True)
    return is_there


def warmup_name(home: Path) -> str:
    """Return the warm-up's version name in Label Studio, which depends on the lexicon, if any."""
    try:
        content = (home / LEXICON_FILE).read_bytes()
    except FileNotFoundError:
        return NO_MODEL
    return lexicon_name(hashlib.sha256(content).hexdigest())


def load_lexicon(home: Path) -> Lexicon | None:
    """Read the project's lexicon; None if there is none."""
    try:
        content = (home / LEXICON_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    rows = csv.reader(io.StringIO(content, newline=""), delimiter="\t")
    next(rows, None)
    return Lexicon((term, type_) for term, type_ in rows)


def find_terms(
    lexicon: Lexicon, sentences: Iterable[StoredSentence], *, region_start: int
) -> tuple[Entity, ...]:
    """Return the terms found in a task's sentences; offsets count from ``region_start``."""
    found = [
        (s.start - region_start, match)
        for s in sentences
        for match in lexicon.find(
            s.text, None if s.tokens is None else [Token(start=a, end=b) for a, b in s.tokens]
        )
    ]
    return tuple(
        Entity(id=f"e{i}", type=match.type, start=offset + match.start, end=offset + match.end)
        for i, (offset, match) in enumerate(found, start=1)
    )
