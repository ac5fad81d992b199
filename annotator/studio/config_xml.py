"""The XML of a labeling configuration, read with care: it comes from outside. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from xml.etree import ElementTree

from annotator.errors import ConfigError

__all__ = ["attribute", "parse_xml", "tags"]

_MAX_CHARACTERS: Final = 1_000_000
_MARKUP_DECLARATION: Final = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


def parse_xml(xml: str) -> ElementTree.Element:
    """Return the root of a labeling configuration.

    Raises:
        ConfigError: if it is too long, no XML, or declares entities.
    """
    if len(xml) > _MAX_CHARACTERS:
        raise ConfigError(
            f"the labeling configuration has {len(xml)} characters, more than {_MAX_CHARACTERS}"
        )
    if _MARKUP_DECLARATION.search(xml):
        raise ConfigError("the labeling configuration declares a DOCTYPE or an ENTITY: remove it")
    try:
        # No declaration is left that could define or fetch an entity.
        return ElementTree.fromstring(xml)  # noqa: S314 - DOCTYPE and ENTITY are refused above
    except ElementTree.ParseError as error:
        line, column = error.position
        raise ConfigError(
            f"the labeling configuration is not XML: line {line}, column {column}"
        ) from None
    except ValueError:
        raise ConfigError("the labeling configuration is not XML: a character is illegal") from None


def tags(root: ElementTree.Element, name: str) -> Iterable[ElementTree.Element]:
    """Yield the tags called ``name`` below ``root``; Label Studio ignores case."""
    return (tag for tag in root.iter() if isinstance(tag.tag, str) and tag.tag.lower() == name)


def attribute(tag: ElementTree.Element, name: str) -> str:
    """Return an attribute, empty if there is none; the case of its name does not count."""
    wanted = name.lower()
    return next((value for key, value in tag.attrib.items() if key.lower() == wanted), "")
