"""Groups of near-duplicate documents, so that nothing is measured on text that was trained on.

All documents of a group stay on one side of the split: those of one source (``meta.group``) and all
near-duplicates of any of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from annotator.store.database import Database
from annotator.store.groups import (
    add_alias,
    add_bands,
    are_learnt_from,
    assign_group,
    crowded_groups,
    find_by_bands,
    lock_groups,
    members_of,
    merge_groups,
    move_to_side,
    resolve_aliases,
    sides_of,
    ungrouped_documents,
)
from annotator.store.projects import audit
from annotator.text.duplicates import MOST_A_BAND, DuplicateIndex, Sketch, sketch_texts

__all__ = ["Arrival", "Placement", "group_stored_documents", "place_documents", "remember_places"]

_MOST_MEMBERS = 100
_MOST_GROUPS = 16
_MAX_KEY = 400
_CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A document about to be stored.

    Attributes:
        group: The group of its source, or its own name.
        split: The side it was drawn to, in case its group is new.
        chosen: Whether somebody chose that side, so that no draw may change it.
        labelled: Whether it comes with labels.
    """

    group: str
    text: str
    split: str
    chosen: bool = False
    labelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a document belongs.

    Attributes:
        split: The side of its group.
        bands: Hashes of its text to be stored, for finding near-duplicates.
        joined: Whether it is a near-duplicate of a document of another source.
        refused: Whether it was chosen for the hold-out and cannot be in it, since text of its
            group is learnt from. Nothing was changed for it.
    """

    group: str
    split: str
    bands: tuple[int, ...] = ()
    joined: bool = False
    refused: bool = False


def place_documents(
    session: Session, project_id: int, arrivals: Sequence[Arrival]
) -> tuple[list[Placement], int]:
    """Find the group and the side of documents, given those that are stored.

    A document that is similar to others joins them on their side. One that is similar to
    documents of both sides, or is chosen for the hold-out and similar to others outside, merges
    them into the hold-out if nothing outside is learnt from, because text that was trained on
    cannot measure a model. Otherwise all go outside, but one that was chosen is refused.

    Returns:
        A place for each document, and how many stored documents changed sides.
    """
    if not arrivals:
        return [], 0
    lock_groups(session, project_id)
    return _Placing.begin(session, project_id, arrivals).run(arrivals)


def remember_places(session: Session, project_id: int, places: Mapping[int, Placement]) -> None:
    """Store what later finds near-duplicates of these documents; ``places`` is by document id."""
    add_bands(session, project_id, {i: place.bands for i, place in places.items()})


def group_stored_documents(database: Database, project_id: int) -> int:
    """Group documents that were stored before groups existed; return how many there were."""
    n_grouped = 0
    while True:
        with database.read() as session:
            if not ungrouped_documents(session, project_id, limit=1):
                return n_grouped
        with database.write() as session:
            rows = ungrouped_documents(session, project_id, limit=_CHUNK)
            arrivals = [Arrival(group=row[1], text=row[2], split=row[3]) for row in rows]
            places, n_moved = place_documents(session, project_id, arrivals)
            for row, place in zip(rows, places, strict=True):
                n_moved += place.split != row[3]
                assign_group(session, row[0], group=place.group, split=place.split)
            remember_places(
                session, project_id, {row[0]: p for row, p in zip(rows, places, strict=True)}
            )
            if n_moved:
                audit(session, project_id, actor="split", action="regroup", moved=n_moved)
        n_grouped += len(rows)


@dataclass
class _Placing:
    session: Session
    project_id: int
    sketches: Sequence[Sketch]
    became: dict[str, str]  # group -> the group it now belongs to
    sides: dict[str, str]
    index: DuplicateIndex = field(default_factory=DuplicateIndex)
    known_bands: set[tuple[int, str]] = field(default_factory=set)
    widened: set[str] = field(default_factory=set)
    labelled: set[str] = field(default_factory=set)
    n_moved: int = 0

    @classmethod
    def begin(cls, session: Session, project_id: int, arrivals: Sequence[Arrival]) -> _Placing:
        sketches = sketch_texts([arrival.text for arrival in arrivals])
        own = {_key(arrival.group) for arrival in arrivals}
        became = resolve_aliases(session, project_id, own)
        near = find_by_bands(
            session,
            project_id,
            (band for sketch in sketches for band in sketch.bands),
            most=MOST_A_BAND,
        )
        groups = {*(became.get(key, key) for key in own), *(text.group for text in near)}
        placing = cls(
            session=session,
            project_id=project_id,
            sketches=sketches,
            became=became,
            sides=sides_of(session, project_id, groups),
        )
        for text, sketch in zip(near, sketch_texts([t.text for t in near]), strict=True):
            placing.index.add(text.group, sketch)
            placing.known_bands |= {(band, text.group) for band in sketch.bands}
        return placing

    def run(self, arrivals: Sequence[Arrival]) -> tuple[list[Placement], int]:
        found = [
            self._place(arrival, sketch)
            for arrival, sketch in zip(arrivals, self.sketches, strict=True)
        ]
        places = [
            Placement(
                group=self._now(key),
                split=self.sides[self._now(key)],
                bands=bands,
                joined=joined,
            )
            if bands is not None
            else Placement(group=key, split="train", refused=True)
            for key, bands, joined in found
        ]
        return places, self.n_moved

    def _now(self, key: str) -> str:
        while key in self.became:
            key = self.became[key]
        return key

    def _place(self, arrival: Arrival, sketch: Sketch) -> tuple[str, tuple[int, ...] | None, bool]:
        """Return its group, its bands (None if it is refused), and whether it joined others."""
        own = self._now(_key(arrival.group))
        near = self._near(sketch) - {own}
        if arrival.chosen and arrival.split == "holdout" and self._is_learnt({own, *near}):
            return own, None, False
        key = self._unite(own, near, arrival)
        if arrival.labelled:
            self.labelled.add(key)
        bands = tuple(b for b in sketch.bands if (b, key) not in self.known_bands)
        self.known_bands |= {(band, key) for band in bands}
        self.index.add(key, sketch)
        return key, bands, bool(near)

    def _near(self, sketch: Sketch) -> set[str]:
        near = {self._now(name) for name in self.index.find(sketch)}
        # The index holds few documents of a large group; a near-duplicate may be another one.
        doubtful = {self._now(name) for name in self.index.candidates(sketch)} - near
        unknown = doubtful - self.widened
        self.widened |= unknown
        for group in crowded_groups(self.session, self.project_id, unknown, most=_MOST_GROUPS):
            texts = [
                m.text
                for m in members_of(self.session, self.project_id, group, limit=_MOST_MEMBERS)
            ]
            for other in sketch_texts(texts):
                self.index.add(group, other)
        if unknown:
            near = {self._now(name) for name in self.index.find(sketch)}
        return near

    def _unite(self, own: str, near: set[str], arrival: Arrival) -> str:
        known = sorted(group for group in {own, *near} if group in self.sides)
        if not known:
            self.sides[own] = arrival.split
            return own
        key = own if own in self.sides else known[0]
        side = self._side(known, arrival)
        for group in known:
            if self.sides[group] != side:
                self.n_moved += move_to_side(self.session, self.project_id, group, split=side)
            if group != key:
                merge_groups(self.session, self.project_id, group, into=key)
                self.became[group] = key
                self.labelled |= {key} if group in self.labelled else set()
        self.sides[key] = side
        if own != key and own not in self.became:
            add_alias(self.session, self.project_id, own, group=key)
            self.became[own] = key
        return key

    def _side(self, groups: Sequence[str], arrival: Arrival) -> str:
        sides = {self.sides[group] for group in groups}
        wanted = {arrival.split} if arrival.chosen else set()
        if len(sides | wanted) == 1:
            return next(iter(sides))
        return "train" if self._is_learnt(groups) else "holdout"

    def _is_learnt(self, groups: Iterable[str]) -> bool:
        outside = [group for group in groups if self.sides.get(group) == "train"]
        if self.labelled & set(outside):
            return True
        return bool(outside) and are_learnt_from(self.session, self.project_id, outside)


def _key(group: str) -> str:
    if len(group) <= _MAX_KEY:
        return group
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()
