"""The door to Label Studio: who answers there must be the project that we are connected to.

Label Studio counts projects, tasks and annotations from 1. Behind an address whose database was
replaced, every number we know means something else: a pull would delete our gold, an upload would
show our notes to strangers. So a conversation begins with the proof, one request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

from annotator.errors import StudioIdentityError, TaskFormatError
from annotator.services.sync.annotations import page_of, person_of
from annotator.store.database import Database
from annotator.store.origins import FoundTask, adopt_tasks, note_stranger, stranger_of
from annotator.store.projects import Project
from annotator.studio.client import StudioClient, StudioProject
from annotator.studio.config import LabelConfig
from annotator.studio.connection import describe_stranger

__all__ = [
    "Decision",
    "adopt_identities",
    "check_decision",
    "open_client",
    "prove_identity",
]

#: What a person says of a project that is not the one known at its place.
Decision = Literal["same", "other"]

_TASKS_AT_ONCE = 100


def open_client(database: Database, project: Project, token: str) -> StudioClient:
    """Open a client of the project's Label Studio, and prove that it is the one we know.

    Raises:
        ConfigError: if the project is not connected.
        StudioIdentityError: if another project answers there.
        StudioError: if Label Studio cannot be reached or refuses.
    """
    client = StudioClient(project.link().host, token)
    try:
        prove_identity(database, project, client)
    except BaseException:
        client.close()
        raise
    return client


def prove_identity(database: Database, project: Project, client: StudioClient) -> StudioProject:
    """Read our project in Label Studio, and see that it is the one we are connected to.

    The outcome is stored, so that ``annotator status`` and the dashboard can show it.

    Raises:
        ConfigError: if the project is not connected.
        StudioIdentityError: if another project answers there.
        StudioError: if Label Studio cannot be reached or refuses.
    """
    link = project.link()
    remote = client.project(link.project_id)
    stranger = None if remote.key == link.key else remote.key
    with database.read() as session:
        is_known = stranger_of(session, project.id) == stranger
    if not is_known:
        with database.write() as session:
            note_stranger(session, project.id, stranger)
    if stranger is not None:
        raise StudioIdentityError(describe_stranger(link.host, link.key, found=stranger))
    return remote


def check_decision(
    project: Project, client: StudioClient, remote: StudioProject, decision: Decision | None
) -> None:
    """Refuse to connect to another project in the same place, unless a person has decided so.

    Raises:
        StudioIdentityError: if nobody has.
    """
    link = project.studio
    if link is None or decision is not None:
        return
    is_here = (link.host, link.project_id) == (client.url, remote.id)
    if is_here and link.key != remote.key:
        raise StudioIdentityError(describe_stranger(link.host, link.key, found=remote.key))


def adopt_identities(
    database: Database,
    project: Project,
    client: StudioClient,
    *,
    former: Sequence[int],
    config: LabelConfig,
) -> int:
    """Recognise tasks and annotations of ``former`` origins in the project we are connected to now.

    Only what is the same by number and by content is taken over: whoever wrongly says that two
    projects are the same loses nothing. May be repeated. Return how many tasks were recognised.

    Raises:
        StudioError: if Label Studio cannot be reached.
    """
    found = _found(client.tasks(project.link().project_id), config)
    n = 0
    while part := list(islice(found, _TASKS_AT_ONCE)):
        with database.write() as session:
            n += adopt_tasks(session, project.id, former, part)
    return n


def _found(tasks: Iterable[Mapping[str, Any]], config: LabelConfig) -> Iterator[FoundTask]:
    for task in tasks:
        try:
            text = page_of(task, config).text
        except TaskFormatError:  # the pull reports it
            continue
        annotators = {
            str(one.get("id")): person_of(one.get("completed_by"))
            for one in task.get("annotations") or ()
        }
        yield FoundTask(studio_id=int(task["id"]), text=text, annotators=annotators)
