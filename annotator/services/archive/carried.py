"""Which settings of an archive a new project takes, and how they differ from those that are there.

Addresses and credentials say where text goes and who gets in. They are somebody's decision at the
place where the project lives, so an archive does not make it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from annotator.errors import ConfigError, InputError
from annotator.settings import CONFIG_FILE, SECRETS_FILE, Settings, load_settings

__all__ = ["carried_settings", "differences"]

# Where text comes from and goes to, and who is let in.
_PLACES: Final = frozenset(
    {
        "allowed_hosts",
        "backend_url",
        "backend_user",
        "database_url",
        "engine",
        "host",
        "port",
        "queue_url",
        "ray_address",
        "studio_project",
        "studio_public_url",
        "studio_url",
    }
)


def carried_settings(staged: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of an unpacked archive: those to take, and those to show alone.

    Raises:
        InputError: if they are no settings of this program.
    """
    try:
        load_settings(staged)
        found = {
            key: value
            for name in (CONFIG_FILE, SECRETS_FILE)
            if (staged / name).is_file()
            for key, value in tomllib.loads((staged / name).read_text(encoding="utf-8")).items()
        }
    except ConfigError as error:
        reason = str(error).replace(f"{staged}/", "")
        raise InputError(f"the settings in the backup are not usable: {reason}") from None
    taken = {k: v for k, v in found.items() if k not in _PLACES and not _is_secret(k)}
    return taken, {key: value for key, value in found.items() if key not in taken}


def differences(theirs: Mapping[str, Any], mine: Settings) -> list[str]:
    """Describe each setting of an archive that has another value here; no secret is shown."""
    lines = []
    for key, value in sorted(theirs.items()):
        here = getattr(mine, key)
        if isinstance(here, SecretStr):
            if value and value != here.get_secret_value():
                lines.append(f"{key}: another one in the backup; it was not taken")
        elif value != here:
            lines.append(f"{key}: {_shown(value)} in the backup, {_shown(here)} here")
    return lines


def _is_secret(key: str) -> bool:
    return Settings.model_fields[key].annotation is SecretStr


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if not isinstance(value, str) or "://" not in value:
        return str(value)
    parts = urlsplit(value)
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}"  # without a password
