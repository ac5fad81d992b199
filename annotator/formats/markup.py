"""XML from outside: parsed without fetching anything and without custom entities."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from annotator.errors import InputError

__all__ = ["parse_xml"]


def parse_xml(raw: bytes, name: str) -> Element:
    """Return the root of an XML file; ``name`` is for messages.

    A ``DOCTYPE`` may name a DTD, which is not fetched. A file that declares entities, or uses any
    but the five of XML, is refused: they can make small files huge or read other files.

    Raises:
        InputError: naming ``file:line``, if the file is not well formed, or refused.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    refuse = _refusal(name, parser)
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.SkippedEntityHandler = refuse
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise InputError(
            f"{name}:{error.lineno}: not well-formed XML at column {error.offset} ({reason})"
        ) from error
    except InputError:
        raise  # InputError is a ValueError too
    except (LookupError, ValueError) as error:
        raise InputError(f"{name}: its encoding is not known; convert it to UTF-8") from error
    return builder.close()


def _refusal(name: str, parser: expat.XMLParserType) -> Callable[..., NoReturn]:
    def refuse(*_: object) -> NoReturn:
        raise InputError(
            f"{name}:{parser.CurrentLineNumber}: the file declares or uses an entity of its "
            "own, which is not read; write the characters themselves"
        )

    return refuse
