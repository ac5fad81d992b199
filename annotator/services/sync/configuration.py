"""Another labeling configuration in Label Studio, and what no longer fits it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from annotator.errors import ConfigError
from annotator.store.projects import adopt_schema, current_config_xml
from annotator.store.pushes import forget_pushes
from annotator.store.versions import active_version
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.reading import reader_of

__all__ = ["adopt_config"]


def adopt_config(session: Session, project_id: int, config: LabelConfig) -> None:
    """Save a configuration.

    Where it is read otherwise than the one before, the predictions in Label Studio name tags that
    are no longer there: the next push replaces those of the version in use.
    """
    before = current_config_xml(session, project_id)
    if before == config.xml:
        return
    adopt_schema(session, project_id, config.schema, config_xml=config.xml)
    active = active_version(session, project_id)
    if active is not None and before is not None and _reader_of(before) != reader_of(config):
        forget_pushes(session, active.id)


def _reader_of(xml: str) -> str | None:
    try:
        return reader_of(parse_config(xml))
    except ConfigError:  # taken by a former reader
        return None
