"""``manifest.json`` and ``alignment.json``: what an export contains and what it leaves out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from annotator.domain import LabelSchema
from annotator.errors import InputError
from annotator.formats.corpus import WriteReport

__all__ = ["FORMAT_VERSION", "write_manifest"]

FORMAT_VERSION = 1
_CHUNK_BYTES = 1 << 20


def write_manifest(
    out: Path,
    report: WriteReport,
    *,
    name: str,
    schema: LabelSchema,
    policy: str,
    splits: Mapping[str, str],
    created_at: datetime,
    program_version: str,
) -> tuple[Path, Path]:
    """Write both files into ``out``, the folder of an export, and return their paths.

    ``report`` is what the writer of the format ``name`` returned, ``policy`` how gold was chosen
    (latest, adjudicated, majority), and ``splits`` maps document ids to split names. ``created_at``
    is written in UTC. ``alignment.json`` is a JSON list with one issue per line.

    Raises:
        InputError: if ``created_at`` has no time zone or a file of the report is missing.
    """
    if created_at.tzinfo is None:
        raise InputError("created_at must have a time zone")
    alignment = _write_alignment(out, report)
    manifest = out / "manifest.json"
    value: dict[str, Any] = {
        "format": name,
        "format_version": FORMAT_VERSION,
        "created_at": created_at.astimezone(UTC).isoformat(),
        "program_version": program_version,
        "policy": policy,
        **_describe_report(report),
        "schema": schema.to_json(),
        "schema_sha256": schema.digest,
        "split_by": "document",
        "splits": dict(sorted(splits.items())),
        "files": {
            path.relative_to(out).as_posix(): _describe_file(path)
            for path in (*report.files, alignment)
        },
    }
    _replace(manifest, json.dumps(value, indent=2) + "\n")
    return manifest, alignment


def _write_alignment(out: Path, report: WriteReport) -> Path:
    path = out / "alignment.json"
    lines = ",\n".join(json.dumps(asdict(issue)) for issue in report.issues)
    _replace(path, f"[\n{lines}\n]\n" if lines else "[]\n")
    return path


def _describe_report(report: WriteReport) -> dict[str, Any]:
    return {
        "counts": {
            "documents": report.n_documents,
            "sentences": report.n_sentences,
            "entities": report.n_entities,
            "relations": report.n_relations,
            "issues": len(report.issues),
        },
        "issues": dict(sorted(Counter(issue.kind for issue in report.issues).items())),
    }


def _describe_file(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
    except OSError as error:
        raise InputError(f"cannot read {path}, a file of this export: {error}") from error
    return {"sha256": digest.hexdigest(), "size_bytes": size_bytes}


def _replace(path: Path, content: str) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        part.touch(mode=0o600)
        part.write_text(content, encoding="utf-8", newline="")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
