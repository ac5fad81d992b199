"""All settings, read once: from the project's folder and from ``ANNOTATOR_...`` variables.

A project lives in one folder. ``annotator.toml`` is its owner's; ``secrets.toml`` (mode 0600)
is written by ``annotator init`` and ``annotator connect``. The environment wins over both.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from annotator.errors import ConfigError

__all__ = [
    "CONFIG_FILE",
    "LEXICON_FILE",
    "SECRETS_FILE",
    "Settings",
    "find_home",
    "init_home",
    "load_settings",
    "web_address",
    "write_secrets",
]

CONFIG_FILE = "annotator.toml"
LEXICON_FILE = "lexicon.tsv"
SECRETS_FILE = "secrets.toml"


def web_address(value: str) -> str:
    """Return an address for people's browsers without a trailing slash.

    Raises:
        ValueError: if a page must not link to it; the message does not repeat it.
    """
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError("expected http:// or https:// and a host, like https://studio.example")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("expected an address without a password, a question mark or a hash sign")
    return value.rstrip("/")


class Settings(BaseSettings):
    """Everything that can be set. Each field is a key of ``annotator.toml`` and a variable."""

    model_config = SettingsConfigDict(env_prefix="ANNOTATOR_", frozen=True, extra="forbid")

    home: Path = Field(description="The project's folder.")
    project: str = Field(
        "default", min_length=1, max_length=200, description="The project's name in the database."
    )
    unit: Literal["sentence", "document"] = Field(
        "sentence", description="What one Label Studio task holds."
    )

    database_url: str | None = Field(
        None, description="SQLAlchemy URL; by default annotator.db in the project's folder."
    )
    queue_url: str | None = Field(
        None, description="sqlite:///FILE, redis://... or postgresql://...; by default queue.db."
    )

    encoder: str = Field("minilm", description="Encoder: minilm, a local folder, or a hub id.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps.")
    engine: Literal["local", "ray"] = Field(
        "local", description="What trains and scores: this machine, or a Ray cluster."
    )
    processes: int = Field(
        1, ge=1, description="Processes that train one model together; with cuda a GPU each."
    )
    ray_address: str = Field(
        "auto", min_length=1, description="The Ray cluster: auto, local, or HOST:PORT of its head."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="What the encoder predicts in; auto measures which is faster."
    )
    epochs: int = Field(12, ge=1, description="Passes over the gold sentences.")
    min_steps: int = Field(600, ge=1, description="Least number of optimiser steps of a run.")
    batch_size: int = Field(16, ge=1, description="Sentences a training step.")
    seed: int = Field(13, ge=0, description="Seed of splits, training and selection.")
    save_every_s: float = Field(
        60.0, ge=0, description="Seconds between saves of the state a killed run goes on from."
    )
    warm_keep: float = Field(
        0.5, gt=0, le=1, description="Share of the old weights that a warm start keeps."
    )
    warm_share: float = Field(
        0.33, gt=0, le=1, description="Share of the epochs and least steps that it takes."
    )
    gpu_memory_share: float = Field(
        1.0, gt=0, le=1, description="Most of a GPU's memory that one process takes."
    )

    strategy: str = Field("mnlp", description="Query strategy: what to show next.")
    random_share: float = Field(
        0.15, ge=0, le=1, description="Share of randomly chosen tasks in the queue."
    )
    batch: int = Field(50, ge=1, description="Tasks a selection.")
    warmup: int = Field(
        100, ge=0, description="Sentences labelled first: at random, spread over the text."
    )
    per_document: int = Field(3, ge=1, description="Most tasks of one document in a selection.")

    keep_predictions: int = Field(
        2, ge=1, description="Versions whose predictions are kept: in use, and in use before."
    )

    holdout_share: float = Field(
        0.15, ge=0, lt=1, description="Share of documents drawn into the hold-out."
    )
    holdout_least: int = Field(
        30, ge=1, description="Fewest hold-out sentences that decide between two models."
    )
    retrain_after: int = Field(50, ge=1, description="Newly labelled sentences before a run.")
    retrain_share: float = Field(0.1, ge=0, description="The same as a share of the gold.")
    retrain_after_hours: float | None = Field(
        None, gt=0, description="Hours that a new label waits at most for a run."
    )
    retrain_cron: str | None = Field(
        None, description="When to train, as in cron, in UTC: 0 3 * * * is at three at night."
    )
    retrain_least: int = Field(
        1, ge=1, description="Fewest newly labelled sentences for a run by age or cron."
    )
    debounce_s: float = Field(5.0, ge=0, description="Quiet seconds before a run is triggered.")
    sync_interval_s: float = Field(120.0, ge=1, description="Seconds between pulls.")
    stall_s: float = Field(
        1800.0, ge=5, description="Seconds without progress after which a training counts as hung."
    )
    lease_s: float = Field(60.0, ge=3, description="Seconds after which a silent worker is dead.")
    keep_versions: int = Field(
        10, ge=2, description="Newest model versions whose files and predictions are kept."
    )
    keep_events: float = Field(
        30.0, gt=0, description="Days that handled events of Label Studio, with their text, stay."
    )
    max_attempts: int = Field(3, ge=1, description="Tries of a run before it fails for good.")

    host: str = Field("127.0.0.1", description="Address that the backend listens on.")
    port: int = Field(9090, ge=0, le=65535, description="Port that the backend listens on.")
    threads: int = Field(8, ge=1, description="Threads that answer requests.")
    max_body_mb: float = Field(64.0, gt=0, description="Largest request body, in MB.")
    max_tasks: int = Field(5000, ge=1, description="Most tasks in one prediction request.")
    max_text_chars: int = Field(2_000_000, ge=1, description="Longest text of one task.")
    max_predict_s: float = Field(
        60.0, gt=0, description="Seconds that one prediction request may take."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Names that the backend is asked under, besides that of backend_url."
    )
    log_json: bool = Field(False, description="Write logs as JSON lines.")

    backend_url: str | None = Field(
        None, description="Where Label Studio reaches the backend; by default host and port."
    )
    backend_user: str = Field("annotator", description="User of the backend's basic auth.")
    backend_password: SecretStr = Field(SecretStr(""), description="Password of the same.")
    api_token: SecretStr = Field(SecretStr(""), description="Bearer token of /api/v1.")
    studio_url: str | None = Field(None, description="Address of Label Studio.")
    studio_public_url: Annotated[str, AfterValidator(web_address)] | None = Field(
        None, description="Where people's browsers reach Label Studio, if elsewhere."
    )
    studio_token: SecretStr = Field(SecretStr(""), description="Personal or legacy token.")
    studio_project: int | None = Field(None, description="Label Studio's project id.")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        """Take names with commas between them, as a variable has them, like a list."""
        return [name.strip() for name in value.split(",")] if isinstance(value, str) else value

    @field_validator("retrain_cron")
    @classmethod
    def _check_cron(cls, value: str | None) -> str | None:
        """Refuse an invalid cron expression, or one that never comes due."""
        if value is None:
            return None
        from cronsim import CronSim, CronSimError

        try:
            next(CronSim(value, datetime.now(UTC)))
        except (CronSimError, StopIteration) as error:
            raise ValueError(
                "expected five fields as in cron: minute, hour, day, month, day of week "
                f"({error or 'that day never comes'})"
            ) from None
        return value

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        # Quoted: a folder's name may hold characters that are special in a URL.
        return self.database_url or f"sqlite:///{quote(str(self.home / 'annotator.db'))}"

    @property
    def queue(self) -> str:
        """The queue's URL in force."""
        return self.queue_url or f"sqlite:///{self.home / 'queue.db'}"

    @property
    def queue_secret(self) -> str:
        """What the messages of the queue are signed with, empty if there are no credentials."""
        parts = (self.backend_password.get_secret_value(), self.api_token.get_secret_value())
        return "\n".join(parts) if any(parts) else ""

    @property
    def basic_auth(self) -> str:
        """The Authorization header of the backend's user."""
        pair = f"{self.backend_user}:{self.backend_password.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    @property
    def backend(self) -> str:
        """Where Label Studio reaches the backend."""
        return (self.backend_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def models_folder(self) -> Path:
        """The folder of the model registry."""
        return self.home / "models"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, secrets.toml, annotator.toml."""
        home = Path(init_settings()["home"])
        files = [
            InitSettingsSource(settings_cls, init_kwargs=_read_toml(home / name))
            for name in (SECRETS_FILE, CONFIG_FILE)
        ]
        return (init_settings, env_settings, *files)


def find_home(home: Path | None = None) -> Path:
    """Return the project's folder: the argument, ANNOTATOR_HOME, or the nearest one upward.

    Raises:
        ConfigError: if no ``annotator.toml`` is found.
    """
    named = home or (Path(value) if (value := os.environ.get("ANNOTATOR_HOME")) else None)
    if named is not None:
        if not (named / CONFIG_FILE).is_file():
            raise ConfigError(
                f"{named} holds no {CONFIG_FILE}; make a project: annotator init --home {named}"
            )
        return named.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise ConfigError(
        f"no {CONFIG_FILE} in this folder or above; run annotator init, or pass --home DIR"
    )


def load_settings(home: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings of the project in ``home`` (see ``find_home``).

    Raises:
        ConfigError: if there is no project or a value is wrong; the message names the key.
    """
    folder = find_home(home)
    known = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(home=folder, **known)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = first["msg"]
        if first["type"] == "extra_forbidden":
            reason = "there is no such setting; docs/reference/settings.md lists all"
        raise ConfigError(
            f"setting {key} in {folder / CONFIG_FILE} or ANNOTATOR_{key.upper()}: {reason}"
        ) from None


def init_home(
    home: Path, *, project: str, unit: str, encoder: str, **more: str | int | float
) -> bool:
    """Make a project's folder with its settings and fresh credentials; keep existing ones.

    Returns:
        True if the project is new, False if the folder already held one.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold clinical text
    is_new = not (home / CONFIG_FILE).exists()
    if is_new:
        values = {"project": project, "unit": unit, "encoder": encoder, **more}
        lines = ["# Settings of this project; docs/reference/settings.md lists all keys."]
        lines += [f"{key} = {_toml_value(value)}" for key, value in values.items()]
        _write_atomic(home / CONFIG_FILE, "\n".join(lines) + "\n")
    have = _read_toml(home / SECRETS_FILE)
    fresh = {"backend_password": secrets.token_urlsafe(24), "api_token": secrets.token_urlsafe(32)}
    missing = {key: value for key, value in fresh.items() if key not in have}
    if missing:
        write_secrets(home, missing)
    return is_new


def write_secrets(home: Path, values: Mapping[str, str | int | None]) -> None:
    """Set keys of ``secrets.toml`` (None removes one), which only its owner may read."""
    path = home / SECRETS_FILE
    merged = {**_read_toml(path), **values}
    lines = ["# Written by annotator init and annotator connect. Do not share this file."]
    lines += [f"{k} = {_toml_value(v)}" for k, v in sorted(merged.items()) if v is not None]
    _write_atomic(path, "\n".join(lines) + "\n")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def _toml_value(value: str | int | float | bool) -> str:
    # A JSON string without non-ASCII escapes is a TOML basic string, except for one character;
    # numbers and booleans are written alike.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write_atomic(path: Path, content: str) -> None:
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)  # also if a file of that name was left behind
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
