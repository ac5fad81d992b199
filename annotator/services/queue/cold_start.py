"""Before the first model: an order for Label Studio, and what a lexicon sees.

Label Studio keeps an order only as scores of predictions. Each task of the warm-up therefore gets
one under a name of its own: with the lexicon's terms as regions, or without any. The label stream
shows no difference between an empty prediction and none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from annotator.domain import Entity
from annotator.errors import ConfigError
from annotator.model import Predictor
from annotator.services.queue.first_tasks import Place, choose_first, read_in_order
from annotator.services.queue.lexicon import find_terms
from annotator.services.sync.push import Handed, hand_over
from annotator.store.cold_start import count_placed, has_waiting, waiting_tasks
from annotator.store.database import Database
from annotator.store.projects import Project, StudioLink, current_config_xml
from annotator.store.selections import Choice, add_choices, log_selection
from annotator.store.tasks import OpenTask
from annotator.studio.client import StudioClient, StudioProject
from annotator.studio.config import LabelConfig, parse_config
from annotator.text.lexicon import Lexicon

__all__ = ["Warmup", "WarmupReport", "is_warmup_due", "publish_warmup"]

Progress = Callable[[str, int, int], None]

_MARK = "lexicon"
_SLOPE = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """How the warm-up is made.

    Attributes:
        n: The setting ``warmup``; 0 makes none.
        name: Under which name its predictions go to Label Studio.
        seed: The setting ``seed``.
        encoder: Loads an encoder as it was pre-trained.
        lexicon: Reads the terms to pre-annotate and to seed with, if there are any.
    """

    n: int
    name: str
    seed: int
    encoder: Callable[[], Predictor]
    lexicon: Callable[[], Lexicon | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupReport:
    """What was done: tasks put in order, those of them that seed a type, and regions drawn."""

    name: str
    n_placed: int = 0
    n_seeds: int = 0
    n_regions: int = 0


def is_warmup_due(database: Database, project_id: int, *, name: str, n: int) -> bool:
    """Tell whether fewer than ``n`` tasks are left in the order and others could join them."""
    if n == 0:
        return False
    with database.read() as session:
        n_open, _ = count_placed(session, project_id, name=name)
        return n_open < n and has_waiting(session, project_id, name=name)


def publish_warmup(
    database: Database,
    project: Project,
    client: StudioClient,
    warmup: Warmup,
    *,
    on_progress: Progress | None = None,
) -> WarmupReport:
    """Put the next tasks of the warm-up in order and push that order, if it is due.

    Done again it finds its work done; killed in between, it does the rest.

    Args:
        database: The project's database.
        project: A connected project without a model in use.
        client: Label Studio.
        warmup: How it is made; encoder and lexicon are loaded only if it is due.
        on_progress: Receives what is done, how many and of how many.

    Raises:
        ModelError: if the encoder cannot be loaded.
        StudioError: if Label Studio took fewer predictions than were sent.
    """
    if project.studio is None:
        raise ConfigError("the project is not connected to Label Studio; run annotator connect")
    if not is_warmup_due(database, project.id, name=warmup.name, n=warmup.n):
        return WarmupReport(name=warmup.name)
    with database.read() as session:
        waiting = waiting_tasks(session, project.id, name=warmup.name)
        _, n_before = count_placed(session, project.id, name=warmup.name)
    lexicon = warmup.lexicon()
    places = choose_first(
        database,
        project.id,
        waiting,
        n=warmup.n,
        encoder=warmup.encoder,
        lexicon=lexicon,
        rng=np.random.default_rng([warmup.seed, n_before]),
        on_progress=on_progress,
    )
    with database.write() as session:
        query_id = log_selection(
            session,
            project.id,
            version_id=None,
            strategy=warmup.name,
            seed=warmup.seed,
            n_pool=len(waiting.train),
        )
    pushing = _Pushing(database, project, client, project.studio, warmup.name, lexicon, query_id)
    return pushing.push(places, n_before=n_before, on_progress=on_progress)


@dataclass
class _Pushing:
    """Hands the places of one selection to Label Studio, and notes those that it has."""

    database: Database
    project: Project
    client: StudioClient
    link: StudioLink
    name: str
    lexicon: Lexicon | None
    query_id: int
    remote: StudioProject = field(init=False)
    config: LabelConfig = field(init=False)

    def __post_init__(self) -> None:
        self.remote = self.client.project(self.link.project_id)
        with self.database.read() as session:
            xml = current_config_xml(session, self.project.id)
        self.config = parse_config(xml or self.remote.config_xml)

    def push(
        self, places: Sequence[Place], *, n_before: int, on_progress: Progress | None
    ) -> WarmupReport:
        """Push tasks in the order of ``places``; those labelled meanwhile are left out."""
        ranked = {place.task_id: (n_before + i, place) for i, place in enumerate(places)}
        ids = np.array(list(ranked), dtype=np.int64)
        n_placed = n_regions = 0
        for part in read_in_order(self.database, self.project.id, ids):
            handed = [
                Handed(
                    task=task,
                    score=_score(ranked[task.id][0]),
                    labels=(self._terms(task), ()),
                    mark=_MARK,
                )
                for task in part
            ]
            self._hand_over(handed)
            with self.database.write() as session:  # what is noted is there and is selected
                add_choices(session, self.query_id, [_choice(*ranked[task.id]) for task in part])
            n_placed += len(part)
            n_regions += sum(len(one.labels[0]) for one in handed)
            if on_progress is not None:
                on_progress("push", n_placed, len(places))
        return WarmupReport(
            name=self.name,
            n_placed=n_placed,
            n_seeds=sum(place.reason == "seed" for place in places),
            n_regions=n_regions,
        )

    def _terms(self, task: OpenTask) -> tuple[Entity, ...]:
        if self.lexicon is None:
            return ()
        return find_terms(self.lexicon, task.sentences, region_start=task.region[0])

    def _hand_over(self, handed: Sequence[Handed]) -> None:
        hand_over(
            self.database,
            self.client,
            self.link.project_id,
            version=self.name,
            config=self.config,
            part=handed,
        )
        if handed and self.remote.model_version != self.name:
            self.remote = self.client.select_version(self.link.project_id, self.name)


def _choice(rank: int, place: Place) -> Choice:
    parts = {"types": list(place.types)} if place.types else {}
    return Choice(task_id=place.task_id, rank=rank, reason=place.reason, parts=parts)


def _score(rank: int) -> float:
    """Return what makes Label Studio keep the place, however many follow: in (0, 1)."""
    return (rank + 0.5) / (rank + 0.5 + _SLOPE)
