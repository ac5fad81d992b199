"""Reading and writing the labeling configuration of a Label Studio project. Pure."""

from __future__ import annotations

import colorsys
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args
from xml.etree import ElementTree

from annotator.domain import LabelSchema
from annotator.errors import ConfigError
from annotator.studio.config_xml import attribute, parse_xml, tags

__all__ = ["LabelConfig", "LabelControl", "Layout", "build_config", "parse_config"]

Layout = Literal["text", "paragraphs", "hypertext"]

# What the editor takes for the name of a field: in others it fills in the part that looks like one.
_FIELD: Final = re.compile(r"\$(\w[\w.\[\]]*)", re.ASCII)
_OTHER_OBJECTS: Final = frozenset(
    {"audio", "audioplus", "chat", "dialog", "image", "list", "pdf", "table", "timeseries"}
    | {"timeserieslabels", "video"}
)
# The tags that can be labelled, and the controls for each.
_CONTROLS: Final[dict[str, frozenset[str]]] = {
    "text": frozenset({"labels"}),
    "paragraphs": frozenset({"paragraphlabels"}),
    "hypertext": frozenset({"hypertextlabels", "labels"}),
}
_LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)
_COLOURS: Final = (
    "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#e6850e", "#17becf", "#c2408f", "#8c564b",
    "#7a8b00", "#3f51b5", "#00897b", "#b8860b",
)  # fmt: skip
_STYLE: Final = (
    ".annotator-labels{position:sticky;top:0;z-index:5;padding:8px 0;"
    "background:var(--color-neutral-background,#fff)}"
    ".annotator-context{padding-left:15px;opacity:.6;font-size:.9em}"
    ".annotator-text{padding:18px 0 10px 12px;border-left:3px solid #617ada}"
    ".annotator-text .lsf-htx-richtext{line-height:2.1}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelControl:
    """One control: its name and the labels it offers, in their order.

    ``kind`` is its tag in lower case, the ``type`` of its regions and the key of their labels.
    ``spelled`` has the labels as Label Studio sends them, with blanks at their edges.
    """

    name: str
    labels: tuple[str, ...]
    spelled: tuple[str, ...]
    kind: str = "labels"

    def spell(self, label: str) -> str:
        """Return a label as Label Studio has it."""
        return _spell(label, self.labels, self.spelled)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """A labeling configuration in the parts that the annotator needs.

    ``text_field`` is the path in a task's data to the text (the ``field``, ``note.text`` or
    ``notes[0]`` of ``<Text value="$field">``); ``text_name`` is the name of that tag, ``to_name``
    in results; ``layout`` says which tag it is, ``is_inline`` that an HTML page is shown without a
    frame. A turn of a dialog has its speaker under ``name_key`` and its
    text under ``text_key``.
    """

    xml: str
    text_field: str
    text_name: str
    controls: tuple[LabelControl, ...]
    relation_labels: tuple[str, ...] = ()
    relations_spelled: tuple[str, ...] = ()
    layout: Layout = "text"
    is_inline: bool = False
    name_key: str = "author"
    text_key: str = "text"

    @property
    def control_name(self) -> str:
        """The name of the first control."""
        return self.controls[0].name

    @property
    def control_names(self) -> tuple[str, ...]:
        """The names of all controls on the text."""
        return tuple(control.name for control in self.controls)

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct entity labels, in the order of the configuration."""
        return tuple(dict.fromkeys(name for control in self.controls for name in control.labels))

    @property
    def schema(self) -> LabelSchema:
        """The entity and relation types; the XML does not say which pairs may be related."""
        return LabelSchema(entity_types=self.labels, relation_types=self.relation_labels)

    @property
    def digest(self) -> str:
        """SHA-256 of the XML as it came, hexadecimal."""
        return hashlib.sha256(self.xml.encode("utf-8", "surrogatepass")).hexdigest()

    def spell_relation(self, label: str) -> str:
        """Return a relation label as Label Studio has it."""
        return _spell(label, self.relation_labels, self.relations_spelled)

    def lacks(self, kind: object, to_name: object) -> bool:
        """Return whether a region of ``kind`` would be a label, were its text or tag still here."""
        if not isinstance(kind, str) or not isinstance(to_name, str):
            return False
        is_label = any(kind in kinds for kinds in _CONTROLS.values())
        return is_label and (to_name == self.text_name or to_name not in _names(self.xml))

    def control_of(self, label: str) -> LabelControl | None:
        """Return the first control that offers ``label``, None if none does."""
        return next((one for one in self.controls if label in one.labels), None)

    def control_named(self, name: object) -> LabelControl | None:
        """Return the control with this name, None if there is none."""
        return next((one for one in self.controls if one.name == name), None)


@lru_cache(maxsize=16)
def _names(xml: str) -> frozenset[str]:
    return frozenset(attribute(tag, "name") for tag in parse_xml(xml).iter())


def parse_config(xml: str) -> LabelConfig:
    """Read a labeling configuration, Label Studio's ``label_config`` (in ``/setup``: ``schema``).

    Raises:
        ConfigError: if it is not XML, declares entities, labels no text by ``<Labels>`` (or
            ``<ParagraphLabels>``, ``<HyperTextLabels>``), or labels more than one field.
    """
    root = parse_xml(xml)
    layout, tag, controls = _labelled_text(root)
    relations, relations_spelled = _values(
        (one for group in tags(root, "relations") for one in tags(group, "relation")), "<Relations>"
    )
    config = LabelConfig(
        xml=xml,
        text_field=_text_field(tag),
        text_name=attribute(tag, "name"),
        controls=tuple(_read_control(kind, one) for kind, one in controls),
        relation_labels=relations,
        relations_spelled=relations_spelled,
        layout=layout,
        is_inline=attribute(tag, "inline") == "true",
        name_key=attribute(tag, "nameKey") or "author",
        text_key=attribute(tag, "textKey") or "text",
    )
    if len(set(config.control_names)) != len(config.controls):
        raise ConfigError("two <Labels> controls share one name; names must be unique")
    return config


def _labelled_text(
    root: ElementTree.Element,
) -> tuple[Layout, ElementTree.Element, list[tuple[str, ElementTree.Element]]]:
    """Return the one text that is labelled, its layout, and the controls on it in their order."""
    objects = {
        attribute(tag, "name"): (layout, tag) for layout in _LAYOUTS for tag in tags(root, layout)
    }
    kinds = sorted(frozenset().union(*_CONTROLS.values()))
    all_controls = [(kind, tag) for kind in kinds for tag in tags(root, kind)]
    if not all_controls:
        _refuse_other_objects(root)
        raise ConfigError("the labeling configuration has no <Labels> control; add one on the text")
    fitting = [
        (kind, tag)
        for kind, tag in all_controls
        if (found := objects.get(attribute(tag, "toName"))) and kind in _CONTROLS[found[0]]
    ]
    if not fitting:
        _refuse_other_objects(root)
        raise ConfigError(
            "no <Labels> control points to a <Text>: its toName must be the name of a <Text> tag "
            "(<ParagraphLabels>: of <Paragraphs>; <HyperTextLabels>: of <HyperText>)"
        )
    targets = {attribute(tag, "toName") for _, tag in fitting}
    if len(targets) > 1:
        raise ConfigError(
            f"the controls point to {len(targets)} different texts; one of them is supported"
        )
    in_order = {id(one): place for place, one in enumerate(root.iter())}
    fitting.sort(key=lambda one: in_order[id(one[1])])
    return *objects[targets.pop()], fitting


def build_config(schema: LabelSchema, *, unit: Literal["sentence", "document"]) -> str:
    """Write a labeling configuration for ``schema``.

    Args:
        schema: Entity types become labels with a colour each and hotkeys 1 to 9; relation types
            become relation labels.
        unit: ``"sentence"`` shows the task fields ``before`` and ``after`` dimmed around ``text``;
            ``"document"`` shows ``text`` alone.

    Raises:
        ConfigError: if the schema has no entity type.
    """
    if not schema.entity_types:
        raise ConfigError("a labeling configuration needs at least one entity type")
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Style").text = _STYLE
    if schema.relation_types:
        relations = ElementTree.SubElement(view, "Relations")
        for name in schema.relation_types:
            ElementTree.SubElement(relations, "Relation", value=name)
    shelf = ElementTree.SubElement(view, "View", className="annotator-labels")
    labels = ElementTree.SubElement(shelf, "Labels", name="label", toName="text")
    for index, name in enumerate(schema.entity_types):
        label = ElementTree.SubElement(labels, "Label", value=name, background=_colour(index))
        if index < 9:
            label.set("hotkey", str(index + 1))
    if unit == "sentence":
        _add_context(view, "before")
    shown = ElementTree.SubElement(view, "View", className="annotator-text")
    ElementTree.SubElement(shown, "Text", name="text", value="$text", granularity="symbol")
    if unit == "sentence":
        _add_context(view, "after")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode")


def _refuse_other_objects(root: ElementTree.Element) -> None:
    found = {str(tag.tag) for tag in root.iter() if str(tag.tag).lower() in _OTHER_OBJECTS}
    if found:
        names = ", ".join(f"<{name}>" for name in sorted(found))
        raise ConfigError(
            f"{names} cannot be labeled; text can: <Labels> on a <Text>, <ParagraphLabels> on "
            "<Paragraphs>, <HyperTextLabels> on <HyperText>"
        )


def _text_field(tag: ElementTree.Element) -> str:
    shown = f'<{tag.tag} name="{attribute(tag, "name")}">'
    if attribute(tag, "valueType").lower() == "url":
        raise ConfigError(f"{shown} loads its text from a URL; put it into the task")
    if attribute(tag, "encoding").lower() not in ("", "none"):
        raise ConfigError(f"{shown} has an encoding; only plain text is supported")
    match = _FIELD.fullmatch(attribute(tag, "value").strip())
    if match is None:
        raise ConfigError(
            f'{shown} must show exactly one field: value="$text", "$note.text" or "$notes[0]"; '
            "Label Studio finds no others than those of letters A to Z, digits and _"
        )
    return match.group(1)


def _read_control(kind: str, tag: ElementTree.Element) -> LabelControl:
    name = attribute(tag, "name")
    if not name:
        raise ConfigError(f"a <{tag.tag}> control has no name")
    shown = f'<{tag.tag} name="{name}">'
    if attribute(tag, "value").strip():
        raise ConfigError(f"{shown} takes its labels from the task; write them as <Label> tags")
    labels, spelled = _values(tags(tag, "label"), shown)
    if not labels:
        raise ConfigError(f"{shown} has no <Label>; add one for each entity type")
    return LabelControl(name=name, labels=labels, kind=kind, spelled=spelled)


def _values(
    found: Iterable[ElementTree.Element], shown: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of labels without blanks at their edges, and as results carry them.

    Results carry the alias where there is one, else the value.
    """
    values = [attribute(tag, "alias") or attribute(tag, "value") for tag in found]
    spelled = tuple(dict.fromkeys(value for value in values if value))
    names = tuple(value.strip() for value in spelled)
    for name, value in zip(names, spelled, strict=True):
        if not name or names.count(name) > 1:
            raise ConfigError(
                f"{shown} has the label {value!r}, which no other name tells from {name!r}: "
                "blanks at an edge do not count; rename it"
            )
    return names, spelled


def _spell(label: str, names: tuple[str, ...], spelled: tuple[str, ...]) -> str:
    return spelled[names.index(label)] if label in names else label


def _add_context(view: ElementTree.Element, field: str) -> None:
    context = ElementTree.SubElement(view, "View", className="annotator-context")
    ElementTree.SubElement(context, "Text", name=field, value=f"${field}")


def _colour(index: int) -> str:
    if index < len(_COLOURS):
        return _COLOURS[index]
    # The golden angle keeps neighbouring hues far apart.
    hue = (index - len(_COLOURS)) * 137.508 % 360 / 360
    lightness = (0.36, 0.52)[index % 2]
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.6))
    return f"#{red:02x}{green:02x}{blue:02x}"
