"""``annotator connect`` and ``disconnect``: Label Studio on the other side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.project import OpenProject, emit, note, open_project, open_studio
from annotator.errors import ConfigError, StudioIdentityError
from annotator.settings import Settings, load_settings, web_address, write_secrets

if TYPE_CHECKING:
    from annotator.services.sync.connect import Connection
    from annotator.services.sync.identity import Decision
    from annotator.services.sync.pull import PullReport
    from annotator.studio.client import StudioClient

__all__ = ["connect", "disconnect"]

_MAX_PROBLEMS = 5


def _web_address(value: str | None) -> str | None:
    try:
        return None if value is None else web_address(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


_Url = Annotated[str, typer.Argument(help="Label Studio's address.")]
_Token = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="ANNOTATOR_STUDIO_TOKEN",
        help="A personal access token (Label Studio: Account & Settings), or a legacy token.",
    ),
]
_Project = Annotated[
    int | None,
    typer.Option("--project", help="The project's number there: 3 in /projects/3/data."),
]
_Create = Annotated[
    str | None, typer.Option("--create", metavar="TITLE", help="Or make a new project there.")
]
_Entity = Annotated[
    list[str] | None,
    typer.Option(
        "--entity", metavar="TYPE", help="With --create: an entity type; may be repeated."
    ),
]
_Relation = Annotated[
    list[str] | None,
    typer.Option(
        "--relation", metavar="TYPE", help="With --create: a relation type; may be repeated."
    ),
]
_BackendUrl = Annotated[
    str | None,
    typer.Option(
        "--backend-url",
        help="Where Label Studio reaches annotator serve, if not at host and port of the "
        "settings; remembered.",
    ),
]
_PublicUrl = Annotated[
    str | None,
    typer.Option(
        "--public-url",
        callback=_web_address,
        help="Where people's browsers reach Label Studio, if not at URL; remembered.",
    ),
]
_Same = Annotated[
    bool | None,
    typer.Option(
        "--same/--other",
        help="Where the project has another key than before: it is ours, restored or moved; or it "
        "is another, which shall have our texts.",
    ),
]


def connect(
    url: _Url,
    token: _Token,
    project: _Project = None,
    create: _Create = None,
    entity: _Entity = None,
    relation: _Relation = None,
    backend_url: _BackendUrl = None,
    public_url: _PublicUrl = None,
    same: _Same = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Connect the project to Label Studio.

    ``annotator serve`` must be running.

    Makes the backend and its webhook, sets the order of tasks, pulls what is there, and proves
    that events arrive. Running it twice changes nothing.

    Example: annotator connect http://127.0.0.1:8080 --token T --project 1
    """
    if (project is None) == (create is None):
        raise ConfigError("say which project: --project N for one that exists, or --create TITLE")
    if project is not None and (entity or relation):
        raise ConfigError("a project that exists has its own types: --entity goes with --create")
    with open_project(home) as opened:
        from annotator.services.reports.status import studio_page
        from annotator.studio.client import StudioClient

        with StudioClient(url, token) as client:
            client.whoami()
            _check_backend(opened.settings, backend_url)
            if project is None:
                project = _make_project(opened, client, create or "", entity or (), relation or ())
            # A failed connection must not replace a working one: check before storing anything.
            _check_project(opened, client, project, _decision(same))
            settings = _keep(
                opened, client.url, token, project, backend_url=backend_url, public_url=public_url
            )
            connection, pulled = _connect(opened, client, settings, project, _decision(same))
            page = studio_page(settings, opened.reload()) or ""
    emit(
        _value(connection, pulled, page=page),
        _lines(connection, pulled, page=page, backend=settings.backend),
        as_json=as_json,
    )


def _decision(same: bool | None) -> Decision | None:
    return None if same is None else "same" if same else "other"


def _check_backend(settings: Settings, backend_url: str | None) -> None:
    """Stop early if no backend answers, or that of another project.

    One that was named need not be within reach of this machine.
    """
    from annotator.services.reports.doctor import ask_backend

    is_named = backend_url is not None or settings.backend_url is not None
    if backend_url is not None:
        settings = settings.model_copy(update={"backend_url": backend_url})
    answer = ask_backend(settings)
    if answer.failure and not is_named:
        raise ConfigError(
            f"{settings.backend}: {answer.failure}; start annotator serve in another terminal, or "
            "say with --backend-url where Label Studio reaches it"
        )
    if not answer.failure and answer.login_status != 200:
        raise ConfigError(
            f"what answers at {settings.backend} is not this project's annotator serve (HTTP "
            f"{answer.login_status} to its password). Start one with this project's --home on "
            "another port (annotator serve --port N), and name it: --backend-url http://HOST:N"
        )


def _check_project(
    opened: OpenProject, client: StudioClient, project: int, decision: Decision | None
) -> None:
    from annotator.services.sync.identity import check_decision
    from annotator.studio.config import parse_config

    remote = client.project(project)
    parse_config(remote.config_xml)
    check_decision(opened.project, client, remote, decision)


def _make_project(
    opened: OpenProject,
    client: StudioClient,
    title: str,
    entities: Sequence[str],
    relations: Sequence[str],
) -> int:
    from annotator.domain import LabelSchema
    from annotator.services.sync.connect import ensure_studio_project

    named = LabelSchema(entity_types=tuple(entities), relation_types=tuple(relations))
    made = ensure_studio_project(
        opened.database, opened.project, client, title=title, named=named
    ).id
    note(f"made Label Studio project {made}; if the rest fails, try --project {made}")
    return made


def _keep(
    opened: OpenProject,
    url: str,
    token: str,
    project: int,
    *,
    backend_url: str | None,
    public_url: str | None,
) -> Settings:
    """Store where Label Studio is, and return the settings with it."""
    secrets: dict[str, str | int | None] = {
        "studio_url": url,
        "studio_token": token,
        "studio_project": project,
    }
    if backend_url is not None:
        secrets["backend_url"] = backend_url
    if public_url is not None or url != opened.settings.studio_url:
        secrets["studio_public_url"] = public_url
    write_secrets(opened.settings.home, secrets)
    return load_settings(opened.settings.home)


def _connect(
    opened: OpenProject,
    client: StudioClient,
    settings: Settings,
    project: int,
    decision: Decision | None,
) -> tuple[Connection, PullReport]:
    from annotator.services.queue.room_settings import split_rule
    from annotator.services.sync.connect import connect_project
    from annotator.services.sync.pull import reconcile

    connection = connect_project(
        opened.database,
        opened.project,
        client,
        studio_project=project,
        backend_url=settings.backend,
        user=settings.backend_user,
        password=settings.backend_password.get_secret_value(),
        decision=decision,
        on_step=lambda step: note(f"{step} ..."),
    )
    pulled = reconcile(
        opened.database, opened.reload(), client, split=split_rule(settings), full=True
    )
    return connection, pulled


def _value(connection: Connection, pulled: PullReport, *, page: str) -> dict[str, object]:
    return {
        "project": connection.studio_project,
        "page": page,
        "backend": connection.backend,
        "webhook": connection.webhook,
        "event_arrived": connection.event_arrived,
        "n_tasks": pulled.n_tasks,
        "problems": list(pulled.problems),
        "cautions": _cautions(connection),
    }


def _cautions(connection: Connection) -> list[str]:
    from annotator.studio.cautions import cautions_of

    return cautions_of(connection.config)


def _lines(connection: Connection, pulled: PullReport, *, page: str, backend: str) -> list[str]:
    schema = connection.config.schema
    lines = [
        f"connected to project {connection.studio_project}: {page}",
        f"events arrive at {backend}",
        f"{pulled.n_tasks} tasks found there, {pulled.n_news} news",
        f"labels: {', '.join((*schema.entity_types, *schema.relation_types))}",
    ]
    if connection.unknown_types:
        lines.append(
            "types of this project without a label there: " + ", ".join(connection.unknown_types)
        )
    lines += [f"not taken over: {caution}" for caution in _cautions(connection)]
    lines += [f"problem: {problem}" for problem in pulled.problems[:_MAX_PROBLEMS]]
    if len(pulled.problems) > _MAX_PROBLEMS:
        more = len(pulled.problems) - _MAX_PROBLEMS
        lines.append(f"{more} problems more: annotator sync --full names them all")
    return [*lines, "next: annotator worker (uploads tasks, pushes predictions, trains)"]


def disconnect(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Remove the backend and its webhook from Label Studio.

    Labels and tasks stay in both.

    Where another project is in the place of ours, nothing there is touched.

    Example: annotator disconnect
    """
    with open_project(home) as opened:
        removed = _disconnect(opened)
        write_secrets(
            opened.settings.home,
            dict.fromkeys(("studio_url", "studio_public_url", "studio_token", "studio_project")),
        )
    emit(
        {"removed": removed},
        ["disconnected" if removed else "there was nothing left to remove in Label Studio"],
        as_json=as_json,
    )


def _disconnect(opened: OpenProject) -> bool:
    from annotator.services.sync.connect import disconnect_project

    url = opened.settings.backend
    try:
        with open_studio(opened) as client:
            return disconnect_project(opened.database, opened.project, client, backend_url=url)
    except StudioIdentityError:
        return disconnect_project(opened.database, opened.project, None, backend_url=url)
