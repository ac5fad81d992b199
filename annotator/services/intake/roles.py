"""What an import may do with documents: which labels count as gold, and which types are new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from annotator.domain import Document, LabelSchema
from annotator.errors import InputError, LabelError

__all__ = ["IntakeRules", "Role", "UnknownType", "check_import", "name_some", "unknown_types"]

Role = Literal["gold", "pool", "holdout"]
_NAMED = 5  # most ids or types in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeRules:
    """What the person who imports has said.

    Attributes:
        strict: All as asked, or nothing: what would be a warning is an error.
        replace: Documents without labels empty the gold of the same documents.
        empty_is_gold: People looked at documents without labels and found nothing.
    """

    strict: bool = False
    replace: bool = False
    empty_is_gold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownType:
    """A type that the project does not know, and the known one it is most like (or None)."""

    name: str
    n: int
    nearest: str | None

    def __str__(self) -> str:
        hint = f", like the known {self.nearest}" if self.nearest else ""
        return f"{self.name} ({self.n} labels{hint})"


def check_import(
    documents: Sequence[Document],
    *,
    role: Role,
    rules: IntakeRules,
    unread: Mapping[str, int],
    known: LabelSchema | None,
    has_model: bool,
) -> tuple[UnknownType, ...]:
    """Check what is to be imported before anything is stored; return the types that are new.

    Args:
        documents: What was read.
        role: What they are to be.
        rules: What is allowed besides.
        unread: Labels that could not be read, by document.
        known: The types of the project, None before there are any.
        has_model: Whether a model is in use, which a hold-out has to measure.

    Raises:
        InputError: if there are no documents or no labels, or labels could not be read and
            ``rules`` are strict.
        LabelError: if the hold-out has types that no model in use can know, or types are new and
            ``rules`` are strict.
    """
    if not documents:
        raise InputError("there are no documents in it; nothing was imported")
    if role == "pool":
        return ()
    if unread and rules.strict:
        raise InputError(
            f"labels of {len(unread)} documents could not be read ({name_some(list(unread))}); "
            "mend the file, or import without --strict: these documents then go to the pool"
        )
    read = [document for document in documents if document.id not in unread]
    if not any(document.entities for document in read) and (unread or not rules.empty_is_gold):
        raise InputError(_without_labels(role, is_read=not unread))
    unknown = unknown_types(read, known)
    if unknown and (rules.strict or (role == "holdout" and has_model)):
        raise LabelError(
            f"types that the project does not know: {name_some([str(t) for t in unknown])}; "
            "nothing was imported: correct the file, or "
            + ("import without --strict" if rules.strict else "first import gold with these types")
        )
    return unknown


def _without_labels(role: Role, *, is_read: bool) -> str:
    if is_read:
        return (
            f"there is not one label in it, so nothing was imported as {role}: import it --as "
            "pool, or, if people looked and found nothing to label, with --empty-is-gold"
        )
    return (
        "there is no document with labels of which all could be read, so nothing was imported as "
        f"{role}: mend the file, or import it --as pool"
    )


def name_some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def unknown_types(
    documents: Sequence[Document], known: LabelSchema | None
) -> tuple[UnknownType, ...]:
    """Return the types of these documents' labels that a schema lacks, none where it is empty."""
    if known is None or not known.entity_types:
        return ()
    found: list[UnknownType] = []
    for names, labels in (
        (known.entity_types, (e.type for d in documents for e in d.entities)),
        (known.relation_types, (r.type for d in documents for r in d.relations if r.type)),
    ):
        counts = Counter(name for name in labels if name not in names)
        found += [UnknownType(name=t, n=n, nearest=_nearest(t, names)) for t, n in counts.items()]
    return tuple(found)


def _nearest(name: str, known: Sequence[str]) -> str | None:
    by_lower = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), list(by_lower), n=1)
    return by_lower[near[0]] if near else None
