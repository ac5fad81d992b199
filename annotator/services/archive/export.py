"""Export of gold: one format, a manifest, and a report of what the format cannot express."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from annotator.domain import LabelSchema
from annotator.errors import NotFoundError
from annotator.formats import WriteReport, share, staged, write_corpus, write_manifest
from annotator.store.database import Database
from annotator.store.gold import GoldUnit, gold_units
from annotator.store.projects import current_schema
from annotator.store.rereading import count_issues

__all__ = ["ExportReport", "export_gold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What an export holds.

    ``not_expressible`` counts labels that the format cannot express, ``not_carried`` the answers
    of other controls, and the notes on regions, which are in Label Studio alone.
    """

    files: Sequence[str]
    n_documents: int
    n_sentences: int
    n_entities: int
    n_relations: int
    not_expressible: int
    not_carried: int


def export_gold(
    database: Database,
    project_id: int,
    *,
    name: str,
    out: Path,
    program_version: str,
    readable_by: Literal["owner", "all"] = "owner",
) -> ExportReport:
    """Write the project's gold into the folder ``out``.

    A fully labelled document is written as it is; a sentence labelled by itself is written as a
    document of its own (``<document>@<start>``), so that unlabelled text never looks like text
    without entities. All files appear at the end, together, or none does.

    Raises:
        NotFoundError: if there is no gold yet.
        InputError: if there is no such format, or a file cannot be written.
    """
    with database.read() as session:
        units = list(gold_units(session, project_id))
        known = current_schema(session, project_id)
        not_carried = count_issues(session, project_id).get("unsupported", 0)
    if not units:
        raise NotFoundError(
            "there is no gold to export yet: label tasks in Label Studio and run annotator sync, "
            "or import some with annotator import --as gold"
        )
    report, files = _write_files(units, known, name=name, out=out, program_version=program_version)
    if readable_by == "all":
        share(out, files)
    return ExportReport(
        files=[str(path) for path in files],
        n_documents=report.n_documents,
        n_sentences=report.n_sentences,
        n_entities=report.n_entities,
        n_relations=report.n_relations,
        not_expressible=len(report.issues),
        not_carried=not_carried,
    )


def _write_files(
    units: Sequence[GoldUnit],
    known: LabelSchema | None,
    *,
    name: str,
    out: Path,
    program_version: str,
) -> tuple[WriteReport, list[Path]]:
    documents = [unit.document for unit in units]
    learnt = LabelSchema.from_documents(documents)
    splits = {unit.document.id: unit.split for unit in units}
    with staged(out) as aside:
        report = write_corpus(name, documents, aside, splits=splits)
        written = write_manifest(
            aside,
            report,
            name=name,
            schema=known.merge(learnt) if known else learnt,
            policy="latest",
            splits=splits,
            created_at=datetime.now(UTC),
            program_version=program_version,
        )
        files = [out / path.relative_to(aside) for path in (*report.files, *written)]
    return report, files
