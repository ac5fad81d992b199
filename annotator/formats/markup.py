"""XML from outside: parsed without fetching anything and without custom entities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from annotator.errors import InputError

__all__ = ["parse_xml"]


def parse_xml(path: Path) -> Element:
    """Return the root of an XML file.

    A ``DOCTYPE`` may name a DTD, which is not fetched. A file that declares entities, or uses any
    but the five of XML, is refused: they can make small files huge or read other files.

    Raises:
        InputError: naming ``file:line``, if the file is absent, not well formed, or refused.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}") from error
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    refuse = _refusal(path, parser)
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.SkippedEntityHandler = refuse
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise InputError(
            f"{path.name}:{error.lineno}: not well-formed XML at column {error.offset} ({reason})"
        ) from error
    except InputError:
        raise  # InputError is a ValueError too
    except (LookupError, ValueError) as error:
        raise InputError(f"{path.name}: its encoding is not known; convert it to UTF-8") from error
    return builder.close()


def _refusal(path: Path, parser: expat.XMLParserType) -> Callable[..., NoReturn]:
    def refuse(*_: object) -> NoReturn:
        raise InputError(
            f"{path.name}:{parser.CurrentLineNumber}: the file declares or uses an entity of its "
            "own, which is not read; write the characters themselves"
        )

    return refuse
