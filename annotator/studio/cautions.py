"""What of a labeling configuration stays in Label Studio, told before anybody labels. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree

from annotator.studio.config import LabelConfig
from annotator.studio.config_xml import attribute, parse_xml

__all__ = ["cautions_of"]

# They point to a tag, but give no answers.
_NO_ANSWERS: Final = frozenset({"filter", "shortcut"})


def cautions_of(config: LabelConfig) -> list[str]:
    """Return a line for each part of a usable configuration that is not taken over as it is.

    Raises:
        ConfigError: if its XML is none.
    """
    return [*_shared_labels(config), *_other_controls(config)]


def _shared_labels(config: LabelConfig) -> Iterator[str]:
    for label in config.labels:
        names = [one.name for one in config.controls if label in one.labels]
        if len(names) > 1:
            yield (
                f"label {label} is in the controls {', '.join(names)}: training and exports do not "
                f"tell them apart, and predictions of it come from {names[0]}"
            )


def _other_controls(config: LabelConfig) -> Iterator[str]:
    for tag in parse_xml(config.xml).iter():
        target = attribute(tag, "toName")
        name = attribute(tag, "name")
        if not target or name in config.control_names or str(tag.tag).lower() in _NO_ANSWERS:
            continue
        yield (
            f'<{tag.tag} name="{name}"> {_about(tag, target)}: what is answered there stays in '
            "Label Studio; training and exports do not have it"
        )


def _about(tag: ElementTree.Element, target: str) -> str:
    if attribute(tag, "perRegion").lower() == "true":
        return "asks about single regions"
    return f"asks about {target}"
