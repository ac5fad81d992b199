"""``annotator import``: documents into the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from annotator.cli.lexicon import take_lexicon
from annotator.cli.options import READABLE_FORMATS, HomeOption, JsonOption, LexiconOption
from annotator.cli.project import emit, open_project, progress_bar

if TYPE_CHECKING:
    from annotator.formats import ReadReport
    from annotator.services.intake.documents import IngestReport

__all__ = ["import_"]


_SHOWN = 10  # most documents left out or repaired that are listed by name

_Format = Annotated[str, typer.Argument(metavar="FORMAT", help=READABLE_FORMATS)]
_File = Annotated[Path, typer.Argument(help="A file, or a folder where the format has one.")]
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


def import_(
    fmt: _Format,
    path: _File,
    role: _Role = "pool",
    holdout_share: _HoldoutShare = None,
    limit: _Limit = None,
    lexicon: LexiconOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import documents. Running it again adds only what is new.

    Example: annotator import jsonl notes.jsonl --as gold
    """
    with open_project(home) as opened:
        from annotator.formats import read_corpus
        from annotator.services.intake.documents import ingest_documents

        corpus = read_corpus(fmt, path)
        documents = corpus.documents[:limit]
        share = opened.settings.holdout_share if holdout_share is None else holdout_share
        with progress_bar("import", total=len(documents)) as advance:
            report = ingest_documents(
                opened.database,
                opened.project.id,
                documents,
                role=role,
                holdout_share=share,
                seed=opened.settings.seed,
                on_progress=lambda done: advance(done, len(documents), ""),
            )
        take_lexicon(opened, lexicon)  # the gold may have brought the types it names
    emit(_value(report, corpus.report), _lines(report, corpus.report, role), as_json=as_json)


def _value(report: IngestReport, read: ReadReport) -> dict[str, Any]:
    value: dict[str, Any] = {name: getattr(report, name) for name in report.__slots__}
    for name, items in (("skipped", read.skipped), ("repaired", read.repaired)):
        value[name] = [{"place": item.place, "reason": item.reason} for item in items]
    return value


def _lines(report: IngestReport, read: ReadReport, role: str) -> list[str]:
    lines = [
        f"{report.n_documents} documents with {report.n_sentences} sentences imported as {role}"
        + (f", {report.n_known} known before" if report.n_known else ""),
        f"labels of {report.n_labelled} documents: {report.n_entities} entities, "
        f"{report.n_relations} relations",
        f"{report.n_holdout} documents drawn into the hold-out; {report.n_groups} groups in all",
        *_warnings(report),
    ]
    for word, items in (("left out", read.skipped), ("repaired", read.repaired)):
        lines += [f"{word}: {item.place}: {item.reason}" for item in items[:_SHOWN]]
        if len(items) > _SHOWN:
            lines.append(f"{word}: and {len(items) - _SHOWN} more (--json lists all)")
    return lines


def _warnings(report: IngestReport) -> list[str]:
    lines = []
    if report.n_duplicates:
        lines.append(
            f"{report.n_duplicates} documents are near-duplicates of others and are kept on "
            "their side of the split"
        )
    if report.n_kept_out:
        lines.append(
            f"warning: {report.n_kept_out} documents stay out of the hold-out: labels of their "
            "near-duplicates are learnt from"
        )
    if report.n_moved:
        lines.append(
            f"warning: {report.n_moved} documents stored before changed sides, to be with their "
            "near-duplicates"
        )
    return lines
