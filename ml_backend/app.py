"""The Flask application, made from its parts."""

from __future__ import annotations

import threading
from functools import lru_cache

from flask import Flask
from prometheus_client import CollectorRegistry

from annotator.jobs.messages import JobQueue
from annotator.live_settings import LiveSettings
from annotator.resources import static_folder
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.studio.config import parse_config
from ml_backend import api_routes, metrics, pages, studio_routes
from ml_backend.auth import Credentials, install_auth
from ml_backend.context import Backend, Waker
from ml_backend.errors import install_errors
from ml_backend.metrics import install_metrics
from ml_backend.models import ModelHost

__all__ = ["create_app"]

_CONFIGS = 32


def create_app(
    settings: Settings, *, database: Database, models: ModelHost, queue: JobQueue
) -> Flask:
    """Make the application. The caller closes what it passes in.

    Raises:
        ConfigError: if there is no backend password, or the dashboard's files are missing.
    """
    app = Flask("ml_backend", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = int(settings.max_body_mb * 1e6)
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it
    backend = Backend(
        live=LiveSettings(settings),
        database=database,
        models=models,
        queue=queue,
        waker=Waker(queue),
        read_config=lru_cache(maxsize=_CONFIGS)(parse_config),
        slots=threading.BoundedSemaphore(settings.threads),
        static=static_folder(),
        measured=CollectorRegistry(),
    )
    backend.install(app.extensions)
    install_errors(app)
    install_metrics(app, backend)
    install_auth(app, Credentials(settings))
    pages.install_headers(app)
    for room in (studio_routes, api_routes, metrics, pages):
        app.register_blueprint(room.blueprint)
    return app
