"""``annotator serve``: the ML backend and the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from annotator.cli.options import HomeOption
from annotator.cli.project import note, open_project, settle_process
from annotator.logs import configure_logs

__all__ = ["serve"]

_LOCK_WAIT_S = 0.7  # Label Studio waits a second for the answer to an event


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on [default: 127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Port [default: 9090].")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Serve predictions and the dashboard until Ctrl-C.

    Example: annotator serve --port 9090
    """
    with open_project(home, host=host, port=port) as opened:
        from annotator.jobs.messages import JobQueue
        from annotator.model.device import pick_device
        from annotator.model.memory import limit_memory
        from annotator.store.database import Database
        from ml_backend.app import create_app
        from ml_backend.models import ModelHost
        from ml_backend.server import serve as serve_app

        settings = opened.settings
        configure_logs(json_lines=settings.log_json)
        queue = JobQueue(settings.queue, secret=settings.queue_secret)
        device = pick_device(settings.device)
        limit_memory(device, settings.gpu_memory_share)
        database = Database(settings.database, lock_wait_s=_LOCK_WAIT_S)
        models = ModelHost(
            database,
            opened.project.id,
            device=device,
            precision=settings.precision,
        )
        try:
            app = create_app(settings, database=database, models=models, queue=queue)
            settle_process()
            serve_app(
                app,
                settings,
                on_ready=lambda server: note(
                    f"serving project {opened.project.name} on http://{server.host}:{server.port} "
                    f"(user {settings.backend_user}, password in {settings.home}/secrets.toml)"
                ),
            )
        finally:
            models.close()
            queue.close()
            database.close()
