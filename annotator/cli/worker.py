"""``annotator worker``: trains, pulls, predicts and pushes in the background."""

from __future__ import annotations

from typing import Annotated

import typer

from annotator.cli.options import HomeOption
from annotator.cli.project import note, open_project, settle_process
from annotator.logs import configure_logs

__all__ = ["worker"]


def worker(
    device: Annotated[
        str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Train, pull labels, predict and push until Ctrl-C.

    May be killed at any time; what it was doing is taken up by the next one.

    Example: annotator worker --device cuda
    """
    with open_project(home, device=device) as opened:
        from annotator.jobs.worker import Worker
        from annotator.model.device import pick_device
        from annotator.model.memory import limit_memory

        configure_logs(json_lines=opened.settings.log_json)
        chosen = pick_device(opened.settings.device)
        limit_memory(chosen, opened.settings.gpu_memory_share)
        note(f"working for project {opened.project.name} on {chosen}; Ctrl-C stops")
        runner = Worker(opened.settings)
        settle_process()
        try:
            runner.run()
        finally:
            runner.close()
