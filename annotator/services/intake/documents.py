"""Import of documents into the project: as gold, as pool, or into the hold-out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from annotator.domain import Document, LabelSchema
from annotator.services.intake.groups import (
    Arrival,
    Placement,
    group_stored_documents,
    place_documents,
    remember_places,
)
from annotator.services.intake.roles import IntakeRules, Role, UnknownType, check_import
from annotator.store.annotations import NewAnnotation, current_labels, record_annotation
from annotator.store.clock import now
from annotator.store.contradictions import find_contradictions
from annotator.store.database import Database
from annotator.store.documents import (
    NewDocument,
    StoredPlace,
    add_documents,
    hash_text,
    known_documents,
)
from annotator.store.groups import count_groups
from annotator.store.imports import begin_import, end_import, take_up_withdrawn
from annotator.store.projects import audit, current_schema, save_schema
from annotator.store.versions import active_version
from annotator.text import MAX_WORDS, count_length_cuts, count_words

__all__ = ["IngestReport", "draw_split", "ingest_documents", "store_document"]

_CHUNK = 200
_TOTALS = (
    "documents",
    "known",
    "sentences",
    "length_cuts",
    "entities",
    "relations",
    "holdout",
    "labelled",
    "duplicates",
    "moved",
    "changed",
    "empty",
    "groups",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an import did.

    Attributes:
        import_id: What ``undo_import`` needs; None if everything was there already.
        n_documents: New documents.
        n_known: Documents that were stored before, with the same text.
        n_sentences: Sentences of the new documents.
        n_length_cuts: Cuts in new documents that are there only because a sentence was too long.
        n_entities: Entities that came as labels.
        n_relations: Relations that came as labels.
        n_holdout: New documents in the hold-out.
        n_labelled: Documents with new labels.
        n_duplicates: New documents that are near-duplicates of others, and on their side.
        n_moved: Stored documents that changed sides to join their near-duplicates.
        n_changed: Stored documents that were moved into the hold-out as asked.
        n_empty: Documents taken as gold in which there is nothing to label.
        n_groups: Groups over all the project's documents.
        unread: Documents taken as pool, since not all of their labels could be read.
        kept_out: Documents not taken into the hold-out, nor their labels: they, or near-duplicates
            of them, are learnt from.
        not_emptied: Documents without labels that have gold, which was left as it is.
        unknown_types: Types that the project did not know before.
        contradicting: Documents of which other labels differ: of Label Studio, or of the same text
            under another id.
    """

    import_id: int | None
    n_documents: int
    n_known: int
    n_sentences: int
    n_length_cuts: int
    n_entities: int
    n_relations: int
    n_holdout: int
    n_labelled: int
    n_duplicates: int
    n_moved: int
    n_changed: int
    n_empty: int
    n_groups: int
    unread: tuple[str, ...]
    kept_out: tuple[str, ...]
    not_emptied: tuple[str, ...]
    unknown_types: tuple[UnknownType, ...]
    contradicting: tuple[str, ...]


def draw_split(group: str, *, share: float, seed: int) -> str:
    """Draw ``holdout`` for a group with probability ``share``, independent of import order."""
    digest = hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return "holdout" if int.from_bytes(digest[:8], "big") / 2**64 < share else "train"


def store_document(
    session: Session, project_id: int, document: Document, *, split: str, group: str | None = None
) -> tuple[int, bool, int]:
    """Store a text with its sentences; return its id, whether it is new, and its sentence count.

    Without ``group`` it is grouped later, see ``group_stored_documents``.
    """
    new = _segmented(document, split=split, group=group)
    ((document_id, is_new),) = add_documents(session, project_id, [new])
    return document_id, is_new, len(new.sentences)


def _segmented(
    document: Document, *, split: str, group: str | None, import_id: int | None = None
) -> NewDocument:
    return NewDocument(
        name=document.id,
        text=document.text,
        split=split,
        meta=dict(document.meta),
        sentences=count_words(document),
        group=group,
        import_id=import_id,
    )


def _count_length_cuts(document: NewDocument) -> int:
    if all(n_words <= MAX_WORDS // 2 for _, n_words in document.sentences):
        return 0  # a cut leaves at least so many words on its left
    return count_length_cuts(Document(id=document.name, text=document.text, meta=document.meta))


def ingest_documents(
    database: Database,
    project_id: int,
    documents: Sequence[Document],
    *,
    role: Role,
    holdout_share: float,
    seed: int,
    rules: IntakeRules | None = None,
    unread: Mapping[str, int] | None = None,
    actor: str = "import",
    on_progress: Callable[[int], None] | None = None,
) -> IngestReport:
    """Store documents; with role gold or holdout their labels become gold.

    A share of the documents is drawn into the hold-out, by group. An import may be repeated: what
    is stored already is left unchanged, so a killed import is simply run again. A hold-out import
    moves known documents into the hold-out, unless anything of their group is learnt from.
    ``unread`` counts labels that could not be read, by document: it is taken as pool.

    Raises:
        InputError: if it cannot be imported as asked; see ``check_import``.
        ConflictError: if a document's id is taken by another text. The chunk is not stored.
    """
    lost = {d.id: unread[d.id] for d in documents if d.id in unread} if unread else {}
    group_stored_documents(database, project_id)
    intake = None
    for i in range(0, max(1, len(documents)), _CHUNK):
        with database.write() as session:  # the first chunk and the import itself, or neither
            intake = intake or _begin(
                session,
                project_id,
                documents,
                role=role,
                rules=rules or IntakeRules(),
                unread=lost,
                share=holdout_share,
                seed=seed,
            )
            intake.take(session, documents[i : i + _CHUNK])
        if on_progress is not None:
            on_progress(min(i + _CHUNK, len(documents)))
    assert intake is not None  # noqa: S101 - there is at least one pass
    with database.write() as session:
        return intake.finish(session, actor=actor)


def _begin(
    session: Session,
    project_id: int,
    documents: Sequence[Document],
    *,
    role: Role,
    rules: IntakeRules,
    unread: Mapping[str, int],
    share: float,
    seed: int,
) -> _Intake:
    unknown = check_import(
        documents,
        role=role,
        rules=rules,
        unread=unread,
        known=current_schema(session, project_id),
        has_model=active_version(session, project_id) is not None,
    )
    return _Intake(
        project_id=project_id,
        import_id=begin_import(session, project_id, role=role),
        unknown=unknown,
        new_types=_learn_schema(session, project_id, documents, role),
        role=role,
        share=share,
        seed=seed,
        rules=rules,
        unread=unread if role != "pool" else {},
    )


def _learn_schema(
    session: Session, project_id: int, documents: Sequence[Document], role: Role
) -> list[str]:
    """Add types before their labels come, so that none is without; return the new ones."""
    if role == "pool":
        return []
    learnt = LabelSchema.from_documents(documents)
    if role == "holdout":  # what may be related is not learnt from what measures
        learnt = learnt.without_pairs()
    known = current_schema(session, project_id) or LabelSchema(entity_types=())
    save_schema(session, project_id, known.merge(learnt))
    old = {*known.entity_types, *known.relation_types}
    return [t for t in (*learnt.entity_types, *learnt.relation_types) if t not in old]


@dataclass(kw_only=True)
class _Intake:
    """An import under way, chunk by chunk."""

    project_id: int
    import_id: int
    unknown: Sequence[UnknownType]
    new_types: Sequence[str]
    role: Role
    share: float
    seed: int
    rules: IntakeRules
    unread: Mapping[str, int]
    n_again: int = 0  # withdrawn documents that came again
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_TOTALS, 0))
    kept_out: list[str] = field(default_factory=list)
    not_emptied: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)

    def take(self, session: Session, documents: Sequence[Document]) -> None:
        hashes = {document.id: hash_text(document.text) for document in documents}
        self.n_again += take_up_withdrawn(
            session, self.project_id, hashes, import_id=self.import_id
        )
        known = known_documents(session, self.project_id, list(hashes))
        places = self._place(session, documents, known)
        refused = {name for name, place in places.items() if place.refused}
        self.kept_out += sorted(refused)
        taken = [document for document in documents if document.id not in refused]
        ids = self._store(session, taken, places, known)
        fresh = ids.keys() - known.keys()
        remember_places(session, self.project_id, {ids[name]: places[name] for name in fresh})
        if self.role != "pool":
            self._record_labels(session, taken, ids)

    def _place(
        self, session: Session, documents: Sequence[Document], known: Mapping[str, StoredPlace]
    ) -> dict[str, Placement]:
        """Place new documents, and those that are to go to the other side."""
        arrivals = {}
        for document in documents:
            place = known.get(document.id)
            if place is not None and (self.role != "holdout" or place.split == "holdout"):
                continue
            group = place.group if place else str(document.meta.get("group") or document.id)
            drawn = draw_split(group, share=self.share, seed=self.seed)
            arrivals[document.id] = Arrival(
                group=group,
                text=document.text,
                split="holdout" if self.role == "holdout" else drawn,
                chosen=self.role == "holdout",
                labelled=self.role != "pool" and document.id not in self.unread,
            )
        places, n_moved = place_documents(session, self.project_id, list(arrivals.values()))
        found = dict(zip(arrivals, places, strict=True))
        n_changed = sum(found[name].split == "holdout" for name in found.keys() & known)
        self.totals["moved"] += n_moved - n_changed
        self.totals["changed"] += n_changed
        return found

    def _store(
        self,
        session: Session,
        documents: Sequence[Document],
        places: Mapping[str, Placement],
        known: Mapping[str, StoredPlace],
    ) -> dict[str, int]:
        """Store texts and count the new ones; return the documents' ids by name."""
        new = [
            _segmented(
                document,
                split=places[document.id].split if document.id in places else "train",
                group=places[document.id].group if document.id in places else None,
                import_id=self.import_id,
            )
            for document in documents
        ]
        stored = add_documents(session, self.project_id, new)
        for document, (_, is_new) in zip(new, stored, strict=True):
            self.totals["documents" if is_new else "known"] += 1
            if is_new:
                self.totals["sentences"] += len(document.sentences)
                self.totals["length_cuts"] += _count_length_cuts(document)
                self.totals["holdout"] += document.split == "holdout"
                self.totals["duplicates"] += places[document.name].joined
        return {d.name: document_id for d, (document_id, _) in zip(new, stored, strict=True)}

    def _record_labels(
        self, session: Session, documents: Sequence[Document], ids: Mapping[str, int]
    ) -> None:
        for document in documents:
            if document.id in self.unread:
                self.set_aside.append(document.id)
            elif self._may_record(session, document):
                self._record(session, document, ids[document.id])

    def _may_record(self, session: Session, document: Document) -> bool:
        """Return whether labels may be stored: none are taken for nothing unless it is asked."""
        if document.entities or self.rules.replace:
            return True
        n = current_labels(session, self.project_id, source="import", external_id=document.id)
        if n:
            self.not_emptied.append(document.id)
        return not n

    def _record(self, session: Session, document: Document, document_id: int) -> None:
        added = record_annotation(
            session,
            NewAnnotation(
                project_id=self.project_id,
                document_id=document_id,
                task_id=None,
                source="import",
                external_id=document.id,
                state="submitted",
                region=(0, len(document.text)),
                entities=document.entities,
                relations=document.relations,
                created_at=now(session),
                annotator="import",
                import_id=self.import_id,
            ),
        )
        if added:
            self.recorded.add(document.id)
            self.totals["labelled"] += 1
            self.totals["entities"] += len(document.entities)
            self.totals["relations"] += len(document.relations)
            self.totals["empty"] += not document.entities

    def finish(self, session: Session, *, actor: str) -> IngestReport:
        self.totals["groups"] = count_groups(session, self.project_id)
        counts = {
            **self.totals,
            "unread": len(self.set_aside),
            "kept_out": len(self.kept_out),
            "not_emptied": len(self.not_emptied),
        }
        differing = find_contradictions(session, self.project_id).documents()
        is_new = bool(self.totals["documents"] + self.totals["labelled"] + self.n_again)
        detail = {**counts, "new_types": list(self.new_types)}
        end_import(session, self.import_id, detail if is_new else None)
        audit(session, self.project_id, actor=actor, action="import", role=self.role, **counts)
        return IngestReport(
            import_id=self.import_id if is_new else None,
            unread=tuple(self.set_aside),
            kept_out=tuple(self.kept_out),
            not_emptied=tuple(self.not_emptied),
            unknown_types=tuple(self.unknown),
            contradicting=tuple(sorted(differing & self.recorded)),
            **{f"n_{key}": value for key, value in self.totals.items()},
        )
