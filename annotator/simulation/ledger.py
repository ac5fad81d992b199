"""Records of finished rounds: one file each, and an archive that carries them to other machines."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from annotator.errors import InputError
from annotator.experiments.record import load_run, save_run, write_atomically

__all__ = ["Ledger"]


class Ledger:
    """The finished rounds of one simulation, in a folder that several processes may share.

    Args:
        folder: Where records are kept.
        digest: Digest of the settings; records of other settings are neither read nor changed.
        archive: A file whose records are reused, and which is kept up to date.

    Raises:
        InputError: if the archive cannot be read.
    """

    def __init__(self, folder: Path, *, digest: str, archive: Path | None = None) -> None:
        self.folder, self.digest, self.archive = folder, digest, archive
        folder.mkdir(parents=True, exist_ok=True)
        if archive is not None and archive.exists():
            for record in _read_archive(archive):
                if self._is_ours(record) and self.find(*_place(record)) is None:
                    save_run(self._path(*_place(record)), record)

    def find(self, arm: str, seed: int, i_round: int) -> dict[str, Any] | None:
        """Return the record of a round; None if it has not finished or is damaged."""
        return load_run(self._path(arm, seed, i_round), fingerprint=self.digest)

    def keep(self, record: dict[str, Any]) -> None:
        """Store the record of a finished round and update the archive."""
        whole = {**record, "fingerprint": self.digest}
        save_run(self._path(*_place(whole)), whole)
        if self.archive is not None:
            with self.hold("archive", wait=True):
                others = _read_archive(self.archive) if self.archive.exists() else []
                kept = [one for one in others if not self._is_ours(one)] + self.records()
                lines = ",\n".join(json.dumps(one, sort_keys=True) for one in kept)
                write_atomically(self.archive, f'{{"records": [\n{lines}\n]}}\n')

    def records(self) -> list[dict[str, Any]]:
        """Return all records of these settings, by arm, seed and round."""
        found = []
        for path in self.folder.glob(f"{self.digest[:12]}-*.json"):
            record = load_run(path, fingerprint=self.digest)
            found += [record] if record is not None else []
        return sorted(found, key=_place)

    @contextmanager
    def hold(self, name: str, *, wait: bool) -> Iterator[bool]:
        """Hold a lock; yields False if another process holds it and ``wait`` is False."""
        with (self.folder / f".{self.digest[:12]}-{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def _path(self, arm: str, seed: int, i_round: int) -> Path:
        return self.folder / f"{self.digest[:12]}-{arm}-seed{seed}-round{i_round}.json"

    def _is_ours(self, record: dict[str, Any]) -> bool:
        return record.get("fingerprint") == self.digest


def _read_archive(path: Path) -> list[dict[str, Any]]:
    try:
        records: list[dict[str, Any]] = json.loads(path.read_bytes())["records"]
        for record in records:
            _place(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"cannot read the records in {path} ({type(error).__name__}): give a file that "
            "--archive wrote, or one that is not there yet"
        ) from error
    return records


def _place(record: dict[str, Any]) -> tuple[str, int, int]:
    return str(record["arm"]), int(record["seed"]), int(record["round"])
