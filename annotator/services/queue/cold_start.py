"""Cold start: the order of the first tasks, with a lexicon's terms drawn in them.

A model that has learnt nothing cannot say which labels are useful. So the first tasks are drawn at
random, spread over topics; between them come some tasks with types that a lexicon knows and that
have few labels yet.

Label Studio keeps an order only as scores of predictions. Each task of the warm-up therefore gets
one under a version name of its own: with the lexicon's terms as regions, or without any. The label
stream shows no difference between an empty prediction and none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.active import interleave
from annotator.active.spread import spread_order
from annotator.domain import Entity
from annotator.services.queue.lexicon import find_terms
from annotator.services.sync.predictions import Place, open_target, push_predictions
from annotator.store.cold_start import (
    WaitingTasks,
    count_gold_types,
    count_placed,
    has_waiting,
    waiting_tasks,
)
from annotator.store.database import Database
from annotator.store.documents import StoredSentence
from annotator.store.projects import Project
from annotator.store.selections import Choice, add_choices, log_selection
from annotator.store.tasks import OpenTask, open_tasks
from annotator.studio.client import StudioClient
from annotator.text import tokenize
from annotator.text.lexicon import Lexicon

if TYPE_CHECKING:
    from annotator.model import Predictor

__all__ = ["FirstTask", "Warmup", "WarmupReport", "choose_first", "is_warmup_due", "publish_warmup"]

Progress = Callable[[str, int, int], None]

_HEADS = 5  # warm-ups put in order at once: people skip tasks, and several label at a time
_SAMPLE = 2000  # tasks that are embedded, so that time does not grow with the pool
_PER_TASK = 4  # sentences embedded per document
_SCAN = 20_000  # tasks searched for seeds
_CHUNK = 500
_RARE = 10  # entities; a type with this many needs no seeds
_MARK = "lexicon"
_SLOPE = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """How the warm-up is made.

    Attributes:
        n: The setting ``warmup``; 0 makes none.
        name: Version name of its predictions in Label Studio.
        seed: The setting ``seed``.
        encoder: Loads a pre-trained encoder.
        lexicon: Reads the terms to pre-annotate and to seed with, if there are any.
    """

    n: int
    name: str
    seed: int
    encoder: Callable[[], Predictor]
    lexicon: Callable[[], Lexicon | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupReport:
    """Numbers of tasks put in order, of those that seed a type, and of regions drawn."""

    name: str
    n_placed: int = 0
    n_seeds: int = 0
    n_regions: int = 0


def is_warmup_due(database: Database, project_id: int, *, name: str, n: int) -> bool:
    """Return whether fewer than ``n`` tasks are left in the order while others could join."""
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
    on_progress: Progress = lambda _what, _done, _total: None,
) -> WarmupReport:
    """Put the next tasks of the warm-up in order and push that order, if it is due.

    May be repeated: work already done is found, and after a kill the rest is done. The project
    must be connected and have no active model; encoder and lexicon are loaded only if it is due.
    ``on_progress`` receives the current step, the number done and the total.

    Raises:
        ModelError: if the encoder cannot be loaded.
        StudioError: if Label Studio accepted fewer predictions than were sent.
    """
    project.link()
    if not is_warmup_due(database, project.id, name=warmup.name, n=warmup.n):
        return WarmupReport(name=warmup.name)
    with database.read() as session:
        waiting = waiting_tasks(session, project.id, name=warmup.name)
        _, n_before = count_placed(session, project.id, name=warmup.name)
    lexicon = warmup.lexicon()
    first = choose_first(
        database,
        project.id,
        waiting,
        n=warmup.n,
        encoder=warmup.encoder,
        lexicon=lexicon,
        rng=np.random.default_rng([warmup.seed, n_before]),
        on_progress=on_progress,
    )
    places = [task.place(n_before + i) for i, task in enumerate(first)]
    n_placed, n_regions = _push_first(
        database, project, client, warmup, places, lexicon, len(waiting.train), on_progress
    )
    n_seeds = sum(task.reason == "seed" for task in first)
    return WarmupReport(name=warmup.name, n_placed=n_placed, n_seeds=n_seeds, n_regions=n_regions)


def _push_first(
    database: Database,
    project: Project,
    client: StudioClient,
    warmup: Warmup,
    places: Sequence[Place],
    lexicon: Lexicon | None,
    n_pool: int,
    on_progress: Progress,
) -> tuple[int, int]:
    """Push the places with the lexicon's terms; return the numbers of tasks and of regions."""
    target = open_target(database, project, client)
    is_selected = target.selected == warmup.name
    n_placed = n_regions = 0

    def labels_of(tasks: Sequence[OpenTask]) -> list[tuple[tuple[Entity, ...], tuple[()]]]:
        nonlocal n_regions
        terms = [_terms(lexicon, task) for task in tasks]
        n_regions += sum(map(len, terms))
        return [(found, ()) for found in terms]

    with database.write() as session:
        query_id = log_selection(
            session,
            project.id,
            version_id=None,
            strategy=warmup.name,
            seed=warmup.seed,
            n_pool=n_pool,
        )
    for sent in push_predictions(
        database,
        project.id,
        client,
        target,
        places,
        version=warmup.name,
        labels_of=labels_of,
        mark=_MARK,
        size=_CHUNK,
    ):
        part = sent.taken
        if part and not is_selected:
            client.select_version(target.number, warmup.name)
            is_selected = True
        with database.write() as session:  # recorded only once pushed and selected
            add_choices(session, query_id, [place.choice for place in part])
        n_placed += len(part)
        on_progress("push", n_placed, len(places))
    return n_placed, n_regions


def _terms(lexicon: Lexicon | None, task: OpenTask) -> tuple[Entity, ...]:
    if lexicon is None:
        return ()
    return find_terms(lexicon, task.sentences, region_start=task.region[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstTask:
    """A task that comes next; ``reason`` is warmup, seed or holdout, ``types`` is what it seeds."""

    task_id: int
    reason: str
    types: tuple[str, ...] = ()

    def place(self, rank: int) -> Place:
        """Return its place in the order; its score is in (0, 1), however many tasks follow."""
        parts = {"types": list(self.types)} if self.types else {}
        choice = Choice(task_id=self.task_id, rank=rank, reason=self.reason, parts=parts)
        return Place(choice=choice, score=(rank + 0.5) / (rank + 0.5 + _SLOPE))


def choose_first(
    database: Database,
    project_id: int,
    waiting: WaitingTasks,
    *,
    n: int,
    encoder: Callable[[], Predictor],
    lexicon: Lexicon | None,
    rng: np.random.Generator,
    on_progress: Progress = lambda _what, _done, _total: None,
) -> list[FirstTask]:
    """Choose the next tasks: spread ones, seeds among the first of them, the hold-out at random.

    One task from each of ``n`` clusters comes first; five times ``n`` are returned, or as many as
    there are. ``encoder`` loads what ``load_untrained`` returns. ``on_progress`` receives the
    current step, the number done and the total.

    Time and memory are bounded: some thousand tasks are examined, however many there are.
    """
    seeds = list(_seeds(database, project_id, waiting.train, lexicon, rng)) if lexicon else []
    taken = {one.task_id for one in seeds}
    sample = rng.permutation(waiting.train)[:_SAMPLE]
    task_ids, rows = _embed(database, project_id, sample, encoder(), on_progress)
    spread_tasks = [task_ids[i] for i in spread_order(rows, n, rng=rng)]
    spread = [
        FirstTask(task_id=task_id, reason="warmup")
        for task_id in spread_tasks
        if task_id not in taken
    ]
    n_among = 2 * len(seeds)  # a third of what comes first are seeds
    train = [*interleave(spread[:n_among], seeds), *spread[n_among:]]
    n_all = len(waiting.train) + len(waiting.holdout)
    n_held = round(min(_HEADS * n, n_all) * len(waiting.holdout) / max(n_all, 1))
    held = [
        FirstTask(task_id=int(task_id), reason="holdout")
        for task_id in rng.permutation(waiting.holdout)[:n_held]
    ]
    return interleave(train[: _HEADS * n - n_held], held)


def _embed(
    database: Database,
    project_id: int,
    sample: NDArray[np.int64],
    encoder: Predictor,
    on_progress: Progress,
) -> tuple[list[int], NDArray[np.float32]]:
    """Return ids of tasks with a row for each: the joint embedding of some of its sentences."""
    task_ids: list[int] = []
    rows: list[NDArray[np.float32]] = []
    from annotator.model.untrained import embed_sentences

    for part in _read_in_order(database, project_id, sample):
        some = [(task.id, s) for task in part for s in _some(task.sentences)]
        embedded = embed_sentences(encoder, [_words(s) for _, s in some])
        sums = {task.id: np.zeros(encoder.width, np.float32) for task in part}
        for (task_id, _), row in zip(some, embedded, strict=True):
            sums[task_id] += row
        task_ids += sums
        rows += [total / max(float(np.linalg.norm(total)), 1e-12) for total in sums.values()]
        on_progress("embed", len(task_ids), len(sample))
    return task_ids, np.stack(rows) if rows else np.zeros((0, encoder.width), np.float32)


def _some(sentences: Sequence[StoredSentence]) -> list[StoredSentence]:
    """Return a few sentences, evenly spaced over a document."""
    n = min(len(sentences), _PER_TASK)
    return [sentences[i * len(sentences) // n] for i in range(n)]


def _words(sentence: StoredSentence) -> list[str]:
    if sentence.tokens is not None:
        return [sentence.text[a:b] for a, b in sentence.tokens]
    return [sentence.text[t.start : t.end] for t in tokenize(sentence.text)]


def _seeds(
    database: Database,
    project_id: int,
    train: NDArray[np.int64],
    lexicon: Lexicon,
    rng: np.random.Generator,
) -> Iterator[FirstTask]:
    """Yield tasks in which the lexicon finds a type with few labels.

    The types take turns, the rarest first; a text is used once, however often it occurs.
    """
    with database.read() as session:
        counts = count_gold_types(session, project_id, lexicon.types)
    wanted = {type_: _RARE - n for type_, n in counts.items() if n < _RARE}
    found: dict[str, list[int]] = {type_: [] for type_ in wanted}
    types_of: dict[int, tuple[str, ...]] = {}
    seen: set[tuple[str, ...]] = set()
    for part in _read_in_order(database, project_id, rng.permutation(train)[:_SCAN]):
        if all(len(found[type_]) >= n for type_, n in wanted.items()):
            break
        for task in part:
            text = tuple(s.text_hash for s in task.sentences)
            terms = find_terms(lexicon, task.sentences, region_start=0)
            types = sorted({e.type for e in terms} & wanted.keys())
            if not types or text in seen:
                continue
            seen.add(text)
            types_of[task.id] = tuple(types)
            for type_ in types:
                found[type_].append(task.id)
    yield from _take_turns(found, wanted, types_of, counts)


def _take_turns(
    found: Mapping[str, Sequence[int]],
    wanted: Mapping[str, int],
    types_of: Mapping[int, tuple[str, ...]],
    counts: Mapping[str, int],
) -> Iterator[FirstTask]:
    rarest = sorted(wanted, key=lambda type_: (counts[type_], len(found[type_]), type_))
    left = dict(wanted)
    queues = {type_: iter(found[type_]) for type_ in rarest}
    taken: set[int] = set()
    while queues:
        for type_ in list(queues):
            task_id = next((i for i in queues[type_] if i not in taken), None)
            if task_id is None or left[type_] <= 0:
                del queues[type_]
                continue
            taken.add(task_id)
            for one in types_of[task_id]:
                left[one] -= 1
            yield FirstTask(task_id=task_id, reason="seed", types=types_of[task_id])


def _read_in_order(
    database: Database, project_id: int, task_ids: NDArray[np.int64]
) -> Iterator[list[OpenTask]]:
    """Read open tasks in chunks, in the order of ``task_ids``."""
    for i in range(0, len(task_ids), _CHUNK):
        wanted = task_ids[i : i + _CHUNK].tolist()
        with database.read() as session:
            found = {t.id: t for t in open_tasks(session, project_id, task_ids=wanted)}
        yield [found[task_id] for task_id in wanted if task_id in found]
