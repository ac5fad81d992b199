"""Label Studio results to and from domain labels. Pure.

Offsets are code points of the page's flat text; ``annotator.studio.page`` converts all others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from annotator.domain import Entity, Relation
from annotator.errors import TaskFormatError
from annotator.studio.config import LabelConfig, LabelControl
from annotator.studio.page import Page, as_page

__all__ = [
    "READER_VERSION",
    "IssueKind",
    "StudioIssue",
    "StudioLabels",
    "labels_to_result",
    "result_to_labels",
]

# Raised whenever a result or a page is read differently than before: what was derived is derived
# anew. Where a page's text is another one now, its task gets another document, as by an edit.
READER_VERSION: Final = 5

IssueKind = Literal[
    "unknown_label",
    "unknown_control",
    "mention_differs",
    "offsets_differ",
    "offsets_repaired",
    "bad_region",
    "bad_relation",
    "duplicate",
    "unread",
    "unsupported",
]

_SEVERAL_LABELS: Final = re.compile(r"(.+):(?:[2-9]|[1-9][0-9]+)", re.DOTALL)
# Label Studio writes a line break inside a mention as a backslash and the letter n.
_BLANKS: Final = re.compile(r"\\n|\s+")
_SCORE_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioIssue:
    """Something in a result that the domain cannot express as it stands. Holds no document text.

    ``kept`` says whether the label is nevertheless among the entities or relations.
    """

    kind: IssueKind
    region: str
    message: str
    kept: bool = False

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioLabels:
    """The labels of one annotation or prediction, and what could not be read as it was.

    ``controls`` has the name of the control that each entity was drawn with, by its id.
    """

    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    issues: tuple[StudioIssue, ...] = ()
    controls: Mapping[str, str] = field(default_factory=dict)


def result_to_labels(result: Any, *, text: str | Page, config: LabelConfig) -> StudioLabels:
    """Read the ``result`` of an annotation, draft or prediction.

    A region with several labels becomes several entities (ids ``x``, ``x:2``, ...); relations end
    at the first of them. Direction ``left`` is turned around, ``bi`` kept. A span is where the
    editor draws it: the quoted mention is looked for only if the offsets do not fit the text.
    Unknown labels are kept and reported; what fits neither the text nor the domain is left out and
    reported.
    ``text`` is the page that the task shows, or its text if that is a ``<Text>``.

    Raises:
        TaskFormatError: if ``result`` is not a list.
    """
    if not isinstance(result, list):
        raise TaskFormatError(f"a result must be a list, found {type(result).__name__}")
    reader = _Reader(page=as_page(text), config=config, taken=_region_ids(result))
    links: list[tuple[int, Mapping[str, Any]]] = []
    for index, item in enumerate(result):
        if not isinstance(item, Mapping):
            reader.report("bad_region", f"item {index}", "is no object")
        elif item.get("type") == "relation":
            links.append((index, item))
        else:
            reader.read_region(index, item)
    for index, item in links:
        reader.read_relation(index, item)
    return StudioLabels(
        entities=tuple(reader.entities),
        relations=tuple(reader.relations),
        issues=tuple(reader.issues),
        controls=reader.controls,
    )


def labels_to_result(
    entities: Iterable[Entity],
    relations: Iterable[Relation],
    *,
    text: str | Page,
    config: LabelConfig,
    controls: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Write the ``result`` of a prediction or annotation: regions first, then relations.

    Entities ``x``, ``x:2``, ... with one span and one control become one region with several
    labels; relations between the same ends become one relation with several labels. ``controls``
    names the control of an entity by its id; without it, it is the first that offers the label.
    Nothing is checked here: see ``annotator.studio.validation``.
    """
    page = as_page(text)
    regions: dict[str, dict[str, Any]] = {}
    spans: dict[str, tuple[int, int]] = {}
    region_of: dict[str, str] = {}
    for entity in entities:
        named = config.control_named(controls.get(entity.id))
        control = named or config.control_of(entity.type) or config.controls[0]
        span = (entity.start, entity.end)
        home = regions.get(_home_region(entity.id))
        if home is not None and spans[home["id"]] == span and _may_share(home, entity, control):
            home["value"][control.kind].append(control.spell(entity.type))
            region_of[entity.id] = home["id"]
            continue
        regions[entity.id] = _region(entity, control=control, page=page, config=config)
        spans[entity.id], region_of[entity.id] = span, entity.id
    links: dict[tuple[str, str, bool, bool], dict[str, Any]] = {}
    for relation in relations:
        head = region_of.get(relation.head, relation.head)
        tail = region_of.get(relation.tail, relation.tail)
        key = (head, tail, relation.bidirectional, relation.type is None)
        link = links.setdefault(key, _link(head, tail, relation))
        label = None if relation.type is None else config.spell_relation(relation.type)
        if label is not None and label not in link.setdefault("labels", []):
            link["labels"].append(label)
        if relation.score is not None:
            link["score"] = min(link.get("score", 1.0), round(relation.score, _SCORE_DIGITS))
    return [*regions.values(), *links.values()]


class _Reader:
    """Collects entities, relations and issues while a result is read."""

    def __init__(self, *, page: Page, config: LabelConfig, taken: set[str]) -> None:
        self.page = page
        self.text = page.text
        self.config = config
        self.taken = taken
        self.entities: list[Entity] = []
        self.relations: list[Relation] = []
        self.issues: list[StudioIssue] = []
        self.controls: dict[str, str] = {}
        self._first: dict[str, Entity] = {}
        self._used: set[str] = set()
        self._linked: set[tuple[str | None, str, str, bool]] = set()
        self._labels = frozenset(config.labels)
        self._kinds = [control.kind for control in config.controls]

    def report(self, kind: IssueKind, region: str, what: str, *, kept: bool = False) -> None:
        name = region if len(region) <= 60 else f"{region[:57]}..."
        self.issues.append(
            StudioIssue(kind=kind, region=region, message=f"{name} {what}", kept=kept)
        )

    def read_region(self, index: int, item: Mapping[str, Any]) -> None:
        region_id = _identifier(item.get("id")) or self._spare(index)
        name = f"region {region_id}"
        value = item.get("value")
        if not isinstance(value, Mapping):
            self.report("bad_region", name, "has no value object")
            return
        kind = item.get("type")
        if kind not in self._kinds or item.get("to_name") != self.config.text_name:
            if self.config.lacks(kind, item.get("to_name")):
                self.report("unread", name, "is on a text that the labeling configuration lacks")
            else:
                self.report("unsupported", name, "is not a <Labels> region on the labeled text")
            return
        span = self._read_span(name, value)
        labels = self._read_labels(name, value.get(kind))
        if span is None or not labels:
            return
        control = self.config.control_named(item.get("from_name"))
        if control is None:
            self.report("unknown_control", name, "comes from an unknown control", kept=True)
        if item.get("meta"):
            self.report("unsupported", name, "has a note, which is not taken over", kept=True)
        self._add_entities(region_id, labels, span, control, score=_score(item.get("score")))

    def read_relation(self, index: int, item: Mapping[str, Any]) -> None:
        name = f"relation {index}"
        head = self._first.get(_identifier(item.get("from_id")) or "")
        tail = self._first.get(_identifier(item.get("to_id")) or "")
        if head is None or tail is None:
            self.report("bad_relation", name, "names a region that is not among the labels")
            return
        direction = item.get("direction", "right")
        if direction not in ("right", "left", "bi"):
            self.report("bad_relation", name, "has no known direction; read as right", kept=True)
        if direction == "left":
            head, tail = tail, head
        labels = item.get("labels") or []
        if not isinstance(labels, list):
            self.report(
                "bad_relation", name, "has labels that are no list; read as none", kept=True
            )
            labels = []
        known = self.config.relation_labels
        names: list[str | None] = [*self._strings(name, labels, kind="bad_relation")]
        for label in names or [None]:
            if label is not None and label not in known:
                self.report("unknown_label", name, f"has the unknown label {label[:60]}", kept=True)
            relation = Relation(
                type=label,
                head=head.id,
                tail=tail.id,
                bidirectional=direction == "bi",
                score=_score(item.get("score")),
            )
            key = (label, head.id, tail.id, relation.bidirectional)
            if key in self._linked:
                self.report("duplicate", name, "repeats an earlier relation")
                continue
            self._linked.add(key)
            self.relations.append(relation)

    def _read_span(self, name: str, value: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return the span that the editor draws: its offsets decide, its quotation only warns."""
        mention = value.get("text")
        quoted = mention if isinstance(mention, str) and mention.strip() else None
        try:
            start, end = self.page.find(value)
            misfit = self._misfit(start, end)
        except TaskFormatError as error:
            misfit = str(error)
        if misfit is not None:
            return self._find_quoted(name, quoted, misfit)
        if quoted is not None and not _is_same_mention(quoted, self.text[start:end]):
            where = f"quotes other words than stand at {start}..{end}, where the editor draws it"
            self.report("mention_differs", name, where, kept=True)
        if self.page.miscounts(value):
            where = f"has globalOffsets of another place than {start}..{end}, where the XPaths are"
            self.report("offsets_differ", name, where, kept=True)
        return start, end

    def _misfit(self, start: int, end: int) -> str | None:
        if 0 <= start < end <= len(self.text):
            return None
        return f"spans {start}..{end}, outside the text (length {len(self.text)})"

    def _find_quoted(self, name: str, quoted: str | None, misfit: str) -> tuple[int, int] | None:
        """Return the only place of a quotation; the region's offsets do not fit the text."""
        found = self.text.find(quoted) if quoted else -1
        if quoted is None or found < 0 or self.text.find(quoted, found + 1) >= 0:
            self.report("bad_region", name, misfit)
            return None
        end = found + len(quoted)
        where = f"{misfit}; taken at {found}..{end}, the only place of the words it quotes"
        self.report("offsets_repaired", name, where, kept=True)
        return found, end

    def _read_labels(self, name: str, labels: Any) -> list[str]:
        if not isinstance(labels, list) or not labels:
            self.report("bad_region", name, "has no list of labels")
            return []
        names = self._strings(name, labels, kind="bad_region")
        for label in names:
            if label not in self._labels:
                self.report("unknown_label", name, f"has the unknown label {label[:60]}", kept=True)
        return names

    def _strings(self, name: str, labels: Sequence[Any], *, kind: IssueKind) -> list[str]:
        good = [label.strip() for label in labels if isinstance(label, str) and label.strip()]
        if len(good) < len(labels):
            self.report(kind, name, "has a label that is no text", kept=bool(good))
        return list(dict.fromkeys(good))

    def _add_entities(
        self,
        region_id: str,
        labels: list[str],
        span: tuple[int, int],
        control: LabelControl | None,
        *,
        score: float | None,
    ) -> None:
        first = self._first.get(region_id)
        if first is not None and (first.start, first.end) != span:
            name = f"region {region_id}"
            self.report("duplicate", name, "occurs twice; the second has a new id", kept=True)
        for label in labels:
            entity = Entity(
                id=self._fresh(region_id), type=label, start=span[0], end=span[1], score=score
            )
            self._first.setdefault(region_id, entity)
            self.entities.append(entity)
            if control is not None:
                self.controls[entity.id] = control.name

    def _spare(self, index: int) -> str:
        """Return an unused id for a region that came without one."""
        name = f"region-{index}"
        while name in self.taken:
            name += "-"
        return name

    def _fresh(self, region_id: str) -> str:
        """Return ``region_id`` or the first free ``region_id:n``, never another region's id."""
        name, count = region_id, 1
        while name in self._used or (count > 1 and name in self.taken):
            count += 1
            name = f"{region_id}:{count}"
        self._used.add(name)
        return name


def _region_ids(result: Sequence[Any]) -> set[str]:
    ids = {_identifier(item.get("id")) for item in result if isinstance(item, Mapping)}
    return {one for one in ids if one is not None}


def _identifier(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value) or None


def _score(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        return None
    return float(value)


def _is_same_mention(claimed: str, found: str) -> bool:
    """Compare mentions ignoring blanks, letter case and Unicode composition."""
    return claimed == found or _visible(claimed) == _visible(found)


def _visible(mention: str) -> str:
    return unicodedata.normalize("NFC", _BLANKS.sub("", mention)).casefold()


def _home_region(entity_id: str) -> str:
    """Return ``x`` for the second and later entities ``x:n`` of a region, else the id itself."""
    match = _SEVERAL_LABELS.fullmatch(entity_id)
    return entity_id if match is None else match[1]


def _may_share(region: Mapping[str, Any], entity: Entity, control: LabelControl) -> bool:
    label = control.spell(entity.type)
    return region["from_name"] == control.name and label not in region["value"][control.kind]


def _region(
    entity: Entity, *, control: LabelControl, page: Page, config: LabelConfig
) -> dict[str, Any]:
    region: dict[str, Any] = {
        "id": entity.id,
        "from_name": control.name,
        "to_name": config.text_name,
        "type": control.kind,
        "value": {
            **page.place(entity.start, entity.end),
            control.kind: [control.spell(entity.type)],
        },
    }
    if entity.score is not None:
        region["score"] = round(entity.score, _SCORE_DIGITS)
    return region


def _link(head: str, tail: str, relation: Relation) -> dict[str, Any]:
    direction = "bi" if relation.bidirectional else "right"
    return {"type": "relation", "from_id": head, "to_id": tail, "direction": direction}
