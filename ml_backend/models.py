"""The resident model: loaded in the background, swapped atomically, never replaced silently."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annotator.errors import AnnotatorError, StoreError
from annotator.logs import get_logger
from annotator.model.precision import Precision
from annotator.services.inference.versions import load_version
from annotator.store.database import Database
from annotator.store.versions import ModelVersion, active_version
from ml_backend.tracebacks import describe_fault

if TYPE_CHECKING:  # loaded with the first model
    from annotator.model import Predictor

__all__ = ["LoadedModel", "ModelHost"]

_RETRY_S = 30.0
_log = get_logger("backend")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A version and its model: what one request uses from start to end."""

    version: ModelVersion
    predictor: Predictor


class ModelHost:
    """Keeps the active version of a project loaded.

    A thread polls the database every ``poll_s`` seconds. While a version loads, or if it cannot
    be loaded, the previous one goes on answering under its own name, and ``state`` says so.
    ``device`` and ``precision`` take the same values as the settings of these names.
    """

    def __init__(
        self,
        database: Database,
        project_id: int,
        *,
        device: str,
        precision: Precision = "fp32",
        poll_s: float = 2.0,
    ) -> None:
        self._database = database
        self._project_id = project_id
        self._device = device
        self._precision: Precision = precision
        self._poll_s = poll_s
        self._current: LoadedModel | None = None
        self._loading: str | None = None
        self._error: str | None = None
        self._failed: tuple[int, float] | None = None  # version id, when to retry at the earliest
        self._refreshing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="model-host", daemon=True)
        self._thread.start()

    def current(self) -> LoadedModel | None:
        """Return the model in use. Call this once a request: it may be swapped at any time."""
        return self._current

    def state(self) -> dict[str, Any]:
        """Return the version in use, the one being loaded, and what went wrong."""
        current = self._current
        return {
            "version": current.version.name if current else None,
            "loading": self._loading,
            "error": self._error,
        }

    def refresh(self) -> None:
        """Load the version that the database names as active, and return when that is done."""
        with self._refreshing:
            try:
                self._database.check_revision()
                with self._database.read() as session:
                    wanted = active_version(session, self._project_id)
            except StoreError as error:
                self._error = str(error)
                return
            self._follow(wanted)

    def close(self) -> None:
        """Stop watching. May be called twice."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh()
            # The edge of this thread: if it died, no promotion would be noticed any more.
            except Exception as error:
                self._error = f"the active version cannot be looked up ({type(error).__name__})"
                _log.error("model.watch_failed", **describe_fault(error))
            self._stop.wait(self._poll_s)

    def _follow(self, wanted: ModelVersion | None) -> None:
        if wanted is None:
            self._current, self._error, self._failed = None, None, None
            return
        if self._current is not None and self._current.version.id == wanted.id:
            self._error, self._failed = None, None
            return
        if self._failed is not None:
            version_id, not_before = self._failed
            if version_id == wanted.id and time.monotonic() < not_before:
                return
        self._loading = wanted.name
        try:
            predictor = self._load(wanted)
            self._current = LoadedModel(version=wanted, predictor=predictor)
        except Exception as error:  # any failure is reported, and the last good model stays
            reason = str(error) if isinstance(error, AnnotatorError) else type(error).__name__
            self._error = f"version {wanted.name} cannot be loaded: {reason}"
            self._failed = (wanted.id, time.monotonic() + _RETRY_S)
            _log.error("model.load_failed", version=wanted.name, **describe_fault(error))
        else:
            self._error, self._failed = None, None
            _log.info("model.loaded", version=wanted.name, precision=predictor.precision)
        finally:
            self._loading = None

    def _load(self, version: ModelVersion) -> Predictor:
        predictor = load_version(version, device=self._device, precision=self._precision)
        predictor.predict([["Ready", "."]])  # a model that cannot predict fails before the swap
        return predictor
