"""Training data of a run: the sentences of its snapshot, reduced to what the model can express."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.domain import LabelSchema, TaggedSentence
from annotator.errors import TrainingError
from annotator.services.intake.groups import group_stored_documents
from annotator.store.database import Database
from annotator.store.gold import GoldUnit, gold_units
from annotator.store.projects import current_schema
from annotator.store.runs import Run, set_snapshot
from annotator.store.snapshots import Snapshot, get_snapshot, take_snapshot
from annotator.text import Alignment, align_document, describe_left_out
from annotator.training import split_holdout

__all__ = ["HoldoutSentence", "RunPlan", "plan_run", "read_test_sentences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The sentences of a snapshot, ready for training.

    Of the hold-out, ``dev`` is for fitting and choosing, ``test`` only for measuring. ``left_out``
    counts the labels that did not fit by reason, out of ``n_labels``; ``n_incomplete`` sentences
    are left out because of them, since their other words would be taken for "nothing here".
    """

    snapshot: Snapshot
    train: tuple[TaggedSentence, ...]
    holdout: tuple[TaggedSentence, ...]
    n_labels: int
    left_out: Mapping[str, int]
    n_incomplete: int

    @property
    def n_left_out(self) -> int:
        """How many labels did not fit."""
        return sum(self.left_out.values())

    def describe(self) -> dict[str, Any]:
        """Return the fields for the run's log."""
        return {
            "digest": self.snapshot.digest[:12],
            "n_train": len(self.train),
            "n_holdout": len(self.holdout),
            "n_labels": self.n_labels,
            "n_left_out": self.n_left_out,
            "left_out": dict(self.left_out),
            "n_incomplete": self.n_incomplete,
        }

    @property
    def dev(self) -> tuple[TaggedSentence, ...]:
        """The part of the hold-out for fitting temperatures."""
        return split_holdout(self.holdout)[0]

    @property
    def test(self) -> tuple[TaggedSentence, ...]:
        """The part of the hold-out for measuring models."""
        return split_holdout(self.holdout)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutSentence:
    """A labelled sentence of the hold-out, with its document, place and text."""

    document: str
    start: int
    text: str
    tagged: TaggedSentence

    def to_json(self) -> dict[str, Any]:
        """Return its place, without its text."""
        return {"document": self.document, "start": self.start}


def read_test_sentences(database: Database, project_id: int) -> list[HoldoutSentence]:
    """Return the sentences for measuring models, according to the current gold."""
    with database.read() as session:
        units = [u for u in gold_units(session, project_id) if u.split == "holdout"]
        schema = current_schema(session, project_id)
    found = []
    for unit in units:
        for sentence in _align(unit, schema).sentences:
            if not sentence.is_complete:
                continue
            found.append(
                HoldoutSentence(
                    document=unit.source_document,
                    start=unit.region[0] + sentence.start,
                    text=unit.document.text[sentence.start : sentence.end],
                    tagged=sentence if schema is None else sentence.restrict(schema),
                )
            )
    test = {id(tagged) for tagged in split_holdout([s.tagged for s in found])[1]}
    return [sentence for sentence in found if id(sentence.tagged) in test]


def plan_run(database: Database, project_id: int, run: Run) -> RunPlan:
    """Bind a run to the current gold, or read again what it was bound to.

    Raises:
        TrainingError: if there is no gold to learn from.
    """
    if run.snapshot_id is not None:
        with database.read() as session:
            snapshot = get_snapshot(session, run.snapshot_id)
            units = list(gold_units(session, project_id, ids=sorted(snapshot.members)))
        return _plan(snapshot, units, [_align(unit, snapshot.schema) for unit in units])
    group_stored_documents(database, project_id)
    with database.read() as session:
        units = list(gold_units(session, project_id))
        known = current_schema(session, project_id)
    schema = _schema(known, units)
    alignments = [_align(unit, schema) for unit in units]
    n_sentences = sum(
        len(alignment.sentences)
        for unit, alignment in zip(units, alignments, strict=True)
        if unit.split == "train"
    )
    if n_sentences == 0:
        raise TrainingError(
            "there is no gold to learn from: import some with annotator import --as gold, or "
            "label tasks in Label Studio"
        )
    with database.write() as session:
        snapshot = take_snapshot(
            session,
            project_id,
            schema=schema,
            members={unit.annotation_id: unit.split for unit in units},
            n_sentences=n_sentences,
        )
        set_snapshot(session, run.id, snapshot.id)
    return _plan(snapshot, units, alignments)


def _schema(known: LabelSchema | None, units: Sequence[GoldUnit]) -> LabelSchema:
    """Return all known types, with the pairs that are related in training gold.

    Pairs of the hold-out alone would tell decoding what is right in it.
    """
    types = known or LabelSchema.from_documents([unit.document for unit in units])
    learnt = LabelSchema.from_documents([u.document for u in units if u.split == "train"])
    return types.without_pairs().with_pairs(learnt.pairs)


def _align(unit: GoldUnit, schema: LabelSchema | None) -> Alignment:
    return align_document(unit.document, group=unit.group, schema=schema)


def _plan(
    snapshot: Snapshot, units: Sequence[GoldUnit], alignments: Sequence[Alignment]
) -> RunPlan:
    sentences: dict[str, list[TaggedSentence]] = {"train": [], "holdout": []}
    left_out: Counter[str] = Counter()
    n_labels = n_incomplete = 0
    for unit, alignment in zip(units, alignments, strict=True):
        n_labels += len(unit.document.entities) + len(unit.document.relations)
        left_out.update(i.kind for i in alignment.issues if i.kind != "unusable_meta")
        for sentence in alignment.sentences:
            fitting = sentence.restrict(snapshot.schema)
            left_out["unknown_type"] += len(sentence.entities) - len(fitting.entities)
            left_out["unknown_type"] += len(sentence.relations) - len(fitting.relations)
            n_incomplete += not sentence.is_complete
            if sentence.is_complete:
                sentences[snapshot.members[unit.annotation_id]].append(fitting)
    if not any(sentence.entities for sentence in sentences["train"]):
        raise TrainingError(_nothing_to_learn(n_labels, left_out))
    return RunPlan(
        snapshot=snapshot,
        train=tuple(sentences["train"]),
        holdout=tuple(sentences["holdout"]),
        n_labels=n_labels,
        left_out=+left_out,
        n_incomplete=n_incomplete,
    )


def _nothing_to_learn(n_labels: int, left_out: Mapping[str, int]) -> str:
    if not n_labels:
        return "there is no label to learn from: the gold says of every sentence that it has none"
    return (
        f"none of the {n_labels} labels can be learnt: {describe_left_out(left_out)}, and their "
        "sentences are left out with them; annotator doctor lists where they are"
    )
