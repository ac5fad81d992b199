"""What an archive says about itself: checked as a whole before anything is taken out of it."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from annotator.errors import InputError
from annotator.settings import CONFIG_FILE, LEXICON_FILE, SECRETS_FILE
from annotator.store.dump import VERSION_NAME

__all__ = [
    "DATABASE_FILES",
    "FORMAT",
    "MANIFEST",
    "Manifest",
    "content_of",
    "open_archive",
    "read_manifest",
]

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE_FILES: Final = {"sqlite": "database.sqlite", "postgresql": "database.dump"}
_LARGEST: Final = 64_000_000  # bytes of a manifest
_SINGLE: Final = {*DATABASE_FILES.values(), CONFIG_FILE, SECRETS_FILE, LEXICON_FILE}
_OF_A_MODEL: Final = re.compile(rf"models/({VERSION_NAME})(?:/(?!\.\.?(?:/|\Z))[^/\x00-\x1f]+)+")
_TABLES: Final = {"project", "document", "annotation", "model_version"}

_VersionName = Annotated[str, Field(pattern=rf"^{VERSION_NAME}$", max_length=255)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class ArchivedFile(_Strict):
    """A file of the archive; ``size`` is in bytes."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: NonNegativeInt


class ArchivedDatabase(_Strict):
    """The database of the archive."""

    engine: Literal["sqlite", "postgresql"]
    migration: Annotated[str, Field(pattern=r"^\w{1,32}$")] | None
    rows: dict[str, NonNegativeInt]


class Manifest(_Strict):
    """What an archive holds."""

    format: int
    id: str
    program: str
    created_at: str
    project: Annotated[str, Field(min_length=1, max_length=200)]
    database: ArchivedDatabase
    models: list[_VersionName]
    left_out: list[str]
    with_secrets: bool
    files: dict[str, ArchivedFile]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Check that names have their place, and that what is named is there."""
        needed = {DATABASE_FILES[self.database.engine], CONFIG_FILE}
        if missing := (needed - self.files.keys()) or (_TABLES - self.database.rows.keys()):
            raise ValueError(f"{min(missing)} is missing")
        there = {name: _OF_A_MODEL.fullmatch(name) for name in self.files.keys() - _SINGLE}
        if odd := [name for name, found in there.items() if found is None]:
            raise ValueError(f"{min(odd)!r} has no place in a backup")
        if {found[1] for found in there.values() if found} != set(self.models):
            raise ValueError("the files are not those of the models it names")
        folders = {str(folder) for name in there for folder in Path(name).parents}
        if folders & there.keys():
            raise ValueError("a file has the name of a folder")
        return self


@contextmanager
def open_archive(file: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive that is not compressed, for the block's length.

    Raises:
        InputError: if it is no such file, or turns out to be damaged within the block.
    """
    if not file.is_file():
        raise InputError(f"{file} is not a file; give an archive that annotator db backup wrote")
    try:
        with tarfile.open(file, "r:") as tar:
            yield tar
    except InputError:
        raise
    except (tarfile.TarError, KeyError, ValueError, EOFError, OverflowError) as error:
        raise _not_whole(file, type(error).__name__) from error


def content_of(tar: tarfile.TarFile, name: str, *, size: int | None = None) -> IO[bytes]:
    """Return a plain file of an archive, of ``size`` bytes if it is given.

    Raises:
        InputError: if it is none: a link, a device, a file with holes, or one of another size.
    """
    info = tar.getmember(name)
    found = tar.extractfile(info) if info.isreg() and not info.issparse() else None
    if found is None or (size is not None and info.size != size):
        raise InputError(
            f"{tar.name!r}: {name} is not the plain file that was written; take another archive"
        )
    return found


def read_manifest(file: Path) -> Manifest:
    """Return the manifest of an archive.

    Raises:
        InputError: if the file is no backup, one of a later format, or not what a backup holds.
    """
    with open_archive(file) as tar:
        packed = content_of(tar, MANIFEST).read(_LARGEST)
    try:
        version = _Version.model_validate_json(packed)
        if version.format != FORMAT:
            raise InputError(
                f"{file} is a backup of format {version.format}, this program reads {FORMAT}; "
                f"install the annotator that wrote it ({version.program}) or a later one"
            )
        return Manifest.model_validate_json(packed)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:100]
        raise _not_whole(file, f"{MANIFEST} {place}: {first['msg']}") from None


class _Version(_Strict):
    format: int
    program: Annotated[str, Field(max_length=100)] = "unknown"


def _not_whole(file: Path, reason: str) -> InputError:
    return InputError(
        f"{file} is not a whole backup ({reason}); make one with annotator db backup, or take "
        "another"
    )
