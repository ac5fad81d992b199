"""``annotator import``: documents into the project, and imports undone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from annotator.cli.lexicon import take_lexicon
from annotator.cli.options import READABLE_FORMATS, HomeOption, JsonOption, LexiconOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import OpenProject, emit, open_project
from annotator.counted import counted
from annotator.errors import ConfigError, InputError

if TYPE_CHECKING:
    from annotator.formats import Corpus, ReadReport
    from annotator.services.intake.documents import IngestReport
    from annotator.services.intake.roles import IntakeRules

__all__ = ["import_"]


_SHOWN = 10  # most documents left out or repaired that are listed by name
_IMPORTS = 20  # most imports listed

_Format = Annotated[str | None, typer.Argument(metavar="FORMAT", help=READABLE_FORMATS)]
_File = Annotated[Path | None, typer.Argument(help="A file, or a folder where the format has one.")]
_Role = Annotated[
    Literal["gold", "pool", "holdout"],
    typer.Option(
        "--as",
        help="gold: labels to learn from; pool: text to be labelled; holdout: labels to "
        "measure with, never learnt from.",
    ),
]
_HoldoutShare = Annotated[
    float | None,
    typer.Option(
        "--holdout-share",
        min=0.0,
        max=0.99,
        help="Share of documents drawn at random into the hold-out [default: the setting].",
    ),
]
_Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Take only so many documents.")]
_Strict = Annotated[
    bool,
    typer.Option("--strict", help="Import nothing if labels cannot be read or types are new."),
]
_Replace = Annotated[
    bool,
    typer.Option("--replace", help="Documents without labels empty the gold they had before."),
]
_EmptyIsGold = Annotated[
    bool,
    typer.Option("--empty-is-gold", help="People looked at text without labels and found nothing."),
]
_Undo = Annotated[
    str | None,
    typer.Option("--undo", metavar="IMPORT", help="Undo an import: its number, or LAST."),
]


def import_(
    fmt: _Format = None,
    path: _File = None,
    role: _Role = "pool",
    holdout_share: _HoldoutShare = None,
    limit: _Limit = None,
    strict: _Strict = False,
    replace: _Replace = False,
    empty_is_gold: _EmptyIsGold = False,
    undo: _Undo = None,
    lexicon: LexiconOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import documents; without a file, list the imports.

    Doing it again adds only what is new.

    Example: annotator import jsonl notes.jsonl --as gold
    """
    with open_project(home) as opened:
        if undo is not None:
            _undo_import(opened, undo, as_json=as_json)
            return
        if fmt is None:
            _list(opened, as_json=as_json)
            return
        if path is None:
            raise ConfigError("name the format and the file: annotator import FORMAT PATH")
        from annotator.formats import read_corpus
        from annotator.services.intake.roles import IntakeRules

        corpus = read_corpus(fmt, path, strict=strict)
        rules = IntakeRules(strict=strict, replace=replace, empty_is_gold=empty_is_gold)
        share = opened.settings.holdout_share if holdout_share is None else holdout_share
        report = _ingest(opened, corpus, role, rules, share=share, limit=limit)
        take_lexicon(opened, lexicon)  # the gold may have brought the types it names
        learnable = _learnable(opened, report)
    emit(
        {**_value(report, corpus.report), "learnable": learnable},
        [*_lines(report, corpus.report, role), *_unlearnt(learnable)],
        as_json=as_json,
    )
    if failure := _failure(report):
        raise InputError(failure)


def _ingest(
    opened: OpenProject,
    corpus: Corpus,
    role: Literal["gold", "pool", "holdout"],
    rules: IntakeRules,
    *,
    share: float,
    limit: int | None,
) -> IngestReport:
    from annotator.services.intake.documents import ingest_documents

    documents = corpus.documents[:limit]
    try:
        with progress_bar("import", total=len(documents)) as advance:
            return ingest_documents(
                opened.database,
                opened.project.id,
                documents,
                role=role,
                holdout_share=share,
                seed=opened.settings.seed,
                rules=rules,
                unread=corpus.report.unread,
                on_progress=lambda done: advance(done, len(documents), ""),
            )
    except InputError as error:
        lost = next((item for item in corpus.report.skipped if item.unreadable), None)
        if lost is None:
            raise
        raise InputError(f"{error}; not read: {lost.place}: {lost.reason}") from error


def _learnable(opened: OpenProject, report: IngestReport) -> dict[str, Any] | None:
    """Count what of the new labels a model can learn; None if nothing came."""
    from annotator.store.learnable import count_learnable

    if report.import_id is None:
        return None
    with opened.database.read() as session:
        found = count_learnable(session, opened.project.id, import_id=report.import_id)
    return found.to_json()


def _unlearnt(learnable: dict[str, Any] | None) -> list[str]:
    from annotator.text import describe_left_out

    if learnable is None or not learnable["left_out"]:
        return []
    n_left_out = learnable["n_labels"] - learnable["n_learnable"]
    return [
        f"warning: {n_left_out} of {counted(learnable['n_labels'], 'label')} cannot be learnt: "
        f"{describe_left_out(learnable['left_out'])}; annotator doctor lists where"
    ]


def _value(report: IngestReport, read: ReadReport) -> dict[str, Any]:
    value = asdict(report)
    for name, items in (("skipped", read.skipped), ("repaired", read.repaired)):
        value[name] = [{"place": item.place, "reason": item.reason} for item in items]
    return value


def _lines(report: IngestReport, read: ReadReport, role: str) -> list[str]:
    lines = [
        *_unread(report),
        f"{counted(report.n_documents, 'document')} with "
        f"{counted(report.n_sentences, 'sentence')} imported as {role}"
        + (f", {report.n_known} known before" if report.n_known else ""),
        f"labels of {counted(report.n_labelled, 'document')}: "
        f"{counted(report.n_entities, 'entity')}, {counted(report.n_relations, 'relation')}"
        + (f"; {report.n_empty} with nothing to label" if report.n_empty else ""),
        f"{counted(report.n_holdout, 'document')} drawn into the hold-out; "
        f"{counted(report.n_groups, 'group')} in all",
        *_warnings(report),
    ]
    for word, items in (("left out", read.skipped), ("repaired", read.repaired)):
        lines += [f"{word}: {item.place}: {item.reason}" for item in items[:_SHOWN]]
        if len(items) > _SHOWN:
            lines.append(f"{word}: and {len(items) - _SHOWN} more (--json lists all)")
    if report.import_id is not None:
        lines.append(f"to undo it: annotator import --undo {report.import_id}")
    return lines


def _unread(report: IngestReport) -> list[str]:
    from annotator.services.intake.roles import name_some

    if not report.unread:
        return []
    return [
        "warning: taken as pool, without labels, since some could not be read: "
        f"{name_some(report.unread)}"
    ]


def _warnings(report: IngestReport) -> list[str]:
    from annotator.services.intake.roles import name_some

    lines = []
    if report.n_length_cuts:
        lines.append(
            f"warning: cut at {report.n_length_cuts} places where a sentence has more than "
            "512 words; no label is predicted across them"
        )
    if report.n_duplicates:
        lines.append(
            f"{report.n_duplicates} documents are near-duplicates of others and are kept on "
            "their side of the split"
        )
    if report.n_changed:
        lines.append(f"{report.n_changed} documents known before were moved into the hold-out")
    if report.n_moved:
        lines.append(
            f"warning: {report.n_moved} documents stored before changed sides, to be with their "
            "near-duplicates"
        )
    if report.contradicting:
        lines.append(
            "warning: other labels of the same text differ (annotator doctor lists where): "
            f"{name_some(report.contradicting)}"
        )
    if report.unknown_types:
        types = ", ".join(str(one) for one in report.unknown_types)
        lines.append(f"warning: types that the project did not know: {types}")
    return lines


def _failure(report: IngestReport) -> str:
    """Return what was asked and not done, with its remedy; empty if all was done."""
    from annotator.services.intake.roles import name_some

    failures = []
    if report.kept_out:
        failures.append(
            "not taken into the hold-out, nor their labels, since they or near-duplicates are "
            f"learnt from: {name_some(report.kept_out)} (import them --as gold, or measure on "
            "other text)"
        )
    if report.not_emptied:
        failures.append(
            "came without labels and keep the gold they have: "
            f"{name_some(report.not_emptied)} (--replace empties it)"
        )
    return "; ".join(failures)


def _list(opened: OpenProject, *, as_json: bool) -> None:
    from annotator.store.imports import imports_of

    with opened.database.read() as session:
        found = imports_of(session, opened.project.id, limit=_IMPORTS)
    lines = [
        f"{one.id:>4}  {one.created_at:%Y-%m-%d %H:%M}  {one.role:<7}  "
        f"{one.detail.get('documents', 0)} new documents, labels of "
        f"{one.detail.get('labelled', 0)}" + ("  (undone)" if one.undone_at else "")
        for one in found
    ]
    value = [
        {
            "id": one.id,
            "role": one.role,
            "created_at": one.created_at.isoformat(),
            "undone_at": one.undone_at.isoformat() if one.undone_at else None,
            **one.detail,
        }
        for one in found
    ]
    told = [*lines, "annotator import --undo LAST undoes the last; a number, that one"]
    emit({"imports": value}, told if found else ["there are no imports yet"], as_json=as_json)


def _undo_import(opened: OpenProject, which: str, *, as_json: bool) -> None:
    from annotator.services.intake.undo import undo_import

    if which.upper() != "LAST" and not which.isdecimal():
        raise ConfigError("--undo takes LAST or the number of an import; annotator import lists")
    number = None if which.upper() == "LAST" else int(which)
    with progress_bar("undo") as advance:
        report = undo_import(
            opened.database,
            opened.project.id,
            number,
            on_progress=lambda done: advance(done, None, ""),
        )
    lines = [
        f"import {report.import_id} is undone: labels of {report.n_labels} documents no longer "
        f"count, {report.n_restored} have those of an earlier import again",
        f"{report.n_withdrawn} documents withdrawn, {report.n_kept} kept since they are labelled",
    ]
    if report.n_tasks:
        lines.append(
            f"warning: {report.n_tasks} withdrawn documents have tasks in Label Studio; delete "
            "them there, or what is labelled in them counts"
        )
    if report.types:
        lines.append(f"types without labels taken out again: {', '.join(report.types)}")
    emit(asdict(report), lines, as_json=as_json)
