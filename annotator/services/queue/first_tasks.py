"""Which tasks come first while nothing has been learnt: spread, with seeds of rare types.

A model that has learnt from nothing has no opinion of what is worth a label. So the first tasks
are drawn at random, spread over what the text is about; of types that a lexicon knows and hardly
anybody has labelled, some are put between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.active import interleave
from annotator.active.spread import spread_order
from annotator.model import Predictor
from annotator.model.untrained import embed_sentences
from annotator.services.queue.lexicon import find_terms
from annotator.store.cold_start import WaitingTasks, count_gold_types
from annotator.store.database import Database
from annotator.store.documents import StoredSentence
from annotator.store.tasks import OpenTask, open_tasks
from annotator.text import tokenize
from annotator.text.lexicon import Lexicon

__all__ = ["Place", "choose_first", "read_in_order"]

Progress = Callable[[str, int, int], None]

_HEADS = 5  # times the warm-up is put in order at once: people skip, and several label at a time
_SAMPLE = 2000  # tasks that are embedded, so that time does not grow with the pool
_PER_TASK = 4  # sentences of a document that are looked at
_SCAN = 20_000  # tasks in which seeds are looked for
_CHUNK = 500
_RARE = 10  # entities; a type that has as many needs no seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A task that comes next; ``reason`` is warmup, seed or holdout, ``types`` what it seeds."""

    task_id: int
    reason: str
    types: tuple[str, ...] = ()


def choose_first(
    database: Database,
    project_id: int,
    waiting: WaitingTasks,
    *,
    n: int,
    encoder: Callable[[], Predictor],
    lexicon: Lexicon | None,
    rng: np.random.Generator,
    on_progress: Progress | None = None,
) -> list[Place]:
    """Choose the next tasks: spread ones, seeds between the first of them, the hold-out at random.

    Time and memory are bounded: some thousand tasks are looked at, however many there are.

    Args:
        database: The project's database.
        project_id: The project.
        waiting: The tasks to choose from.
        n: The length of the warm-up: one of each of so many clusters comes first.
        encoder: Loads what ``load_untrained`` returns.
        lexicon: Terms to seed with, if there are any.
        rng: The only source of randomness.
        on_progress: Receives what is done, how many and of how many.

    Returns:
        Five times ``n`` places, or as many as there are tasks.
    """
    seeds = list(_seeds(database, project_id, waiting.train, lexicon, rng)) if lexicon else []
    taken = {one.task_id for one in seeds}
    sample = rng.permutation(waiting.train)[:_SAMPLE]
    task_ids, rows = _embed(database, project_id, sample, encoder(), on_progress)
    spread_tasks = [task_ids[i] for i in spread_order(rows, n, rng=rng)]
    spread = [
        Place(task_id=task_id, reason="warmup") for task_id in spread_tasks if task_id not in taken
    ]
    n_among = 2 * len(seeds)  # a third of what comes first are seeds
    train = [*interleave(spread[:n_among], seeds), *spread[n_among:]]
    n_all = len(waiting.train) + len(waiting.holdout)
    n_held = round(min(_HEADS * n, n_all) * len(waiting.holdout) / max(n_all, 1))
    held = [
        Place(task_id=int(task_id), reason="holdout")
        for task_id in rng.permutation(waiting.holdout)[:n_held]
    ]
    return interleave(train[: _HEADS * n - n_held], held)


def _embed(
    database: Database,
    project_id: int,
    sample: NDArray[np.int64],
    encoder: Predictor,
    on_progress: Progress | None,
) -> tuple[list[int], NDArray[np.float32]]:
    """Return ids of tasks and a row for each: what the encoder makes of some of its sentences."""
    task_ids: list[int] = []
    rows: list[NDArray[np.float32]] = []
    for part in read_in_order(database, project_id, sample):
        some = [(task.id, s) for task in part for s in _some(task.sentences)]
        embedded = embed_sentences(encoder, [_words(s) for _, s in some])
        sums = {task.id: np.zeros(encoder.width, np.float32) for task in part}
        for (task_id, _), row in zip(some, embedded, strict=True):
            sums[task_id] += row
        task_ids += sums
        rows += [total / max(float(np.linalg.norm(total)), 1e-12) for total in sums.values()]
        if on_progress is not None:
            on_progress("embed", len(task_ids), len(sample))
    return task_ids, np.stack(rows) if rows else np.zeros((0, encoder.width), np.float32)


def _some(sentences: Sequence[StoredSentence]) -> list[StoredSentence]:
    """Return a few sentences, evenly from the whole of a document."""
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
) -> Iterator[Place]:
    """Yield tasks in which the lexicon finds a type of which there are few labels.

    The types take turns, the rarest first; a text is taken once however often it is there.
    """
    with database.read() as session:
        counts = count_gold_types(session, project_id, lexicon.types)
    wanted = {type_: _RARE - n for type_, n in counts.items() if n < _RARE}
    found: dict[str, list[int]] = {type_: [] for type_ in wanted}
    types_of: dict[int, tuple[str, ...]] = {}
    seen: set[tuple[str, ...]] = set()
    for part in read_in_order(database, project_id, rng.permutation(train)[:_SCAN]):
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
) -> Iterator[Place]:
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
            yield Place(task_id=task_id, reason="seed", types=types_of[task_id])


def read_in_order(
    database: Database, project_id: int, task_ids: NDArray[np.int64]
) -> Iterator[list[OpenTask]]:
    """Read open tasks in chunks, in the order of ``task_ids``."""
    for i in range(0, len(task_ids), _CHUNK):
        wanted = task_ids[i : i + _CHUNK].tolist()
        with database.read() as session:
            found = {t.id: t for t in open_tasks(session, project_id, task_ids=wanted)}
        yield [found[task_id] for task_id in wanted if task_id in found]
