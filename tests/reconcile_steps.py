"""What people do in Label Studio, and what becomes of the events: steps of a story.

Numbers in a step pick one of what there is by then, so that every story can be played; a step for
which there is nothing does nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from factories import RASH, TINY_CONFIG_XML
from fake_studio import make_link, make_region
from reconcile_world import ReconcileWorld, shown_field

TEXTS = tuple(f"{RASH} Case {i}." for i in range(5))
NOTE = f"{RASH} As noted."
RESULTS: tuple[list[dict[str, Any]], ...] = (
    [],
    [make_region("a", 0, 7, "Drug", text=RASH)],
    [
        make_region("a", 0, 7, "Drug", text=RASH),
        make_region("b", 17, 21, "Effect", text=RASH),
        make_link("a", "b", "causes"),
    ],
)
CONFIGS = (
    TINY_CONFIG_XML,
    TINY_CONFIG_XML.replace('<Label value="Drug"/>', '<Label value="Drug"/><Label value="Dose"/>'),
    TINY_CONFIG_XML.replace('<Label value="Effect"/>', ""),
    TINY_CONFIG_XML.replace("$text", "$note"),
)
_MOST_TASKS = 3
_T = TypeVar("_T")


class Step(Protocol):
    """Something that happens."""

    def happen(self, world: ReconcileWorld) -> None:
        """Happen in a world, or not where there is nothing for it."""


def play(world: ReconcileWorld, steps: Sequence[Step]) -> None:
    """Let things happen one after the other."""
    for step in steps:
        step.happen(world)


def _pick(values: Sequence[_T], number: int) -> list[_T]:
    return [values[number % len(values)]] if values else []


def _tasks(world: ReconcileWorld) -> list[int]:
    return sorted(world.studio.task_ids(1))


def _annotations(world: ReconcileWorld) -> list[int]:
    return sorted(a["id"] for task in world.studio.tasks(1) for a in task["annotations"])


# ---------------------------------------------------------------- people


@dataclass(frozen=True)
class Make:
    """Somebody makes a task, if there are few; the id of the last one, if deleted, comes again."""

    text: int

    def happen(self, world: ReconcileWorld) -> None:
        """Make it."""
        if len(_tasks(world)) < _MOST_TASKS:
            world.texts[TEXTS[self.text]] += 1
            world.studio.add_task(text=TEXTS[self.text], note=NOTE)


@dataclass(frozen=True)
class Annotate:
    """Somebody submits or skips a task."""

    task: int
    result: int
    who: int = 1
    skip: bool = False

    def happen(self, world: ReconcileWorld) -> None:
        """Do so."""
        for task in _pick(_tasks(world), self.task):
            world.studio.annotate(task, RESULTS[self.result], skip=self.skip, completed_by=self.who)


@dataclass(frozen=True)
class Update:
    """Somebody submits an annotation again."""

    annotation: int
    result: int

    def happen(self, world: ReconcileWorld) -> None:
        """Do so."""
        for annotation in _pick(_annotations(world), self.annotation):
            world.studio.update(annotation, RESULTS[self.result])


@dataclass(frozen=True)
class Star:
    """Somebody makes an annotation the ground truth, or takes that back."""

    annotation: int
    on: bool

    def happen(self, world: ReconcileWorld) -> None:
        """Do so."""
        for annotation in _pick(_annotations(world), self.annotation):
            world.studio.star(annotation, on=self.on)


@dataclass(frozen=True)
class Delete:
    """Somebody deletes an annotation; one that was a skip goes without an event."""

    annotation: int
    silent: bool

    def happen(self, world: ReconcileWorld) -> None:
        """Do so."""
        for annotation in _pick(_annotations(world), self.annotation):
            world.studio.delete_annotation(annotation, silent=self.silent)


@dataclass(frozen=True)
class Edit:
    """Somebody changes a task's text; no event is sent."""

    task: int
    text: int

    def happen(self, world: ReconcileWorld) -> None:
        """Do so."""
        for task in _pick(_tasks(world), self.task):
            world.texts.update({TEXTS[self.text]: 2})
            world.studio.edit_task(task, text=TEXTS[self.text])


@dataclass(frozen=True)
class DeleteTask:
    """Somebody deletes a task with its annotations."""

    task: int

    def happen(self, world: ReconcileWorld) -> None:
        """Do so."""
        for task in _pick(_tasks(world), self.task):
            world.studio.delete_task(task)


@dataclass(frozen=True)
class Configure:
    """Somebody changes the configuration."""

    config: int

    def happen(self, world: ReconcileWorld) -> None:
        """Do so; where another field is shown, no text is plain any more."""
        before = shown_field(world.studio)
        world.studio.configure(CONFIGS[self.config])
        if shown_field(world.studio) != before:
            world.texts.update(TEXTS * 2)


# ---------------------------------------------------------------- events, and we


@dataclass(frozen=True)
class Deliver:
    """An event comes in, of those that were ever sent: late, again, or before its time."""

    event: int

    def happen(self, world: ReconcileWorld) -> None:
        """Store it."""
        for i_event in _pick(range(len(world.studio.events)), self.event):
            world.deliver(i_event)


@dataclass(frozen=True)
class Replay:
    """All events that were ever sent come in, several times and in any order."""

    times: int
    order: int

    def happen(self, world: ReconcileWorld) -> None:
        """Store them."""
        events = [*range(len(world.studio.events))] * self.times
        random.Random(self.order).shuffle(events)  # noqa: S311 - an order, no secret
        for i_event in events:
            world.deliver(i_event)


@dataclass(frozen=True)
class Process:
    """The inbox is worked off, until it is empty or the process is killed."""

    killed_at: int | None = None

    def happen(self, world: ReconcileWorld) -> None:
        """Work."""
        world.until_killed(world.process, statement=self.killed_at)


@dataclass(frozen=True)
class Pull:
    """A pull, until it is done or the process is killed; ``meanwhile`` things happen.

    They do after the first task was looked at, when the pages have been read already.
    """

    full: bool = False
    killed_at: int | None = None
    meanwhile: tuple[Step, ...] = ()

    def happen(self, world: ReconcileWorld) -> None:
        """Pull."""

        def look_up(done: int) -> None:
            if done == 1:
                play(world, self.meanwhile)

        world.until_killed(
            lambda database: world.pull(database, full=self.full, on_progress=look_up),
            statement=self.killed_at,
        )
