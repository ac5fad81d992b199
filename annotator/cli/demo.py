"""``annotator demo``: everything at once, on this machine."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.cli.options import EncoderOption
from annotator.cli.progress import say_minutes
from annotator.cli.project import note
from annotator.cli.watch import watch_run

if TYPE_CHECKING:
    from annotator.demo.play import Demo
    from annotator.demo.stage import Stage

__all__ = ["demo"]


_Home = Annotated[Path, typer.Option("--home", help="Where everything is kept.")]
_Once = Annotated[
    bool, typer.Option("--once", help="A scripted annotator labels 20 tasks; then check and end.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="The backend's port.")]
_StudioPort = Annotated[
    int, typer.Option("--studio-port", min=0, max=65535, help="Label Studio's; 0 chooses.")
]
_StudioVenv = Annotated[
    Path | None,
    typer.Option(
        "--studio-venv",
        envvar="ANNOTATOR_STUDIO_VENV",
        help="An environment that has Label Studio, instead of a new one.",
    ),
]


def demo(
    home: _Home = Path(".annotator-demo"),
    once: _Once = False,
    as_json: _Json = False,
    port: _Port = None,
    studio_port: _StudioPort = 0,
    studio_venv: _StudioVenv = None,
    encoder: EncoderOption = "minilm",
) -> None:
    """Show the whole loop on sample notes in a real Label Studio.

    Stays until Ctrl-C, then stops what it started. Run it again to continue; delete the folder to
    begin anew.

    Example: annotator demo
    """
    from annotator.demo.play import Demo
    from annotator.demo.stage import Stage

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    home = home.resolve()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    stage = Stage(home, port=port, studio_port=studio_port, studio_venv=studio_venv)
    play = Demo(home=home, encoder=encoder, stage=stage, say=note, watch=watch_run)
    try:
        _perform(play, stage, once=once, as_json=as_json)
    except KeyboardInterrupt:
        note("stopping (this takes a few seconds)")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half behind
        play.close()


def _perform(play: Demo, stage: Stage, *, once: bool, as_json: bool) -> None:
    """Start everything; then have tasks labelled and end, or stay until Ctrl-C."""
    with _step("1/5 project and sample notes"):
        play.make_project()
    with _step("2/5 Label Studio"):
        running = play.start_studio()
    with _step("3/5 backend and worker"):
        play.start_backend()
    note("4/5 first model (a few minutes on two CPU cores)")
    version = play.first_model()
    with _step("5/5 predictions and their order"):
        play.wait_until_published(version)
    if once:
        from annotator.demo.once import Once

        result = Once(play).play(version)
        if as_json:
            typer.echo(json.dumps(result, ensure_ascii=False))
        else:
            _show(result)
        raise typer.Exit(0 if result["ok"] else 1)
    _invite(play, running.url, running.username, running.password)
    while True:
        stage.check()
        time.sleep(1)


@contextmanager
def _step(title: str) -> Iterator[None]:
    note(title)
    with say_minutes(lambda: title):
        yield


def _show(result: dict[str, Any]) -> None:
    before, after = result["f1_before"], result["f1_after"]
    share = result["accepted_share"]
    typer.echo(
        f"hold-out F1 before: entities {before['ner']}, relations {before['re']}; "
        f"after: entities {after['ner']}, relations {after['re']} ({result['run']['state']})"
    )
    typer.echo(
        f"accepted as proposed: {share['entities']:.0%} of entities"
        if share["entities"] is not None
        else "nothing was proposed"
    )
    for name, seen in result["checks"].items():
        typer.echo(f"{'ok    ' if seen else 'FAILED'} {name}")


def _invite(play: Demo, url: str, user: str, password: str) -> None:
    settings = play.settings
    typer.echo(
        f"""
Label Studio   {url}/projects/{play.studio_project}/data
user           {user}
password       {password}

Dashboard      {settings.backend}
user           {settings.backend_user}
password       {settings.backend_password.get_secret_value()}

Open Label Studio, log in, and click "Label All Tasks": the task that the model is least sure of
comes first, with entities and relations already drawn. Correct them and click "Submit". After 20
tasks a new model is trained, compared with this one, and put into use if it is no worse; the
dashboard shows how far it is. Ctrl-C stops everything; run annotator demo again to continue.
"""
    )
