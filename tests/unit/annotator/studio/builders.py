"""A text, a configuration and one-line builders of regions and relations."""

from __future__ import annotations

from typing import Any

from annotator.studio.config import parse_config

TEXT = "Took 😀 aspirin 500 mg; rash."
CONFIG = parse_config(
    """<View><Relations><Relation value="has-dose"/><Relation value="causes"/></Relations>
    <Labels name="label" toName="text"><Label value="Drug"/><Label value="Dose"/></Labels>
    <Labels name="sign" toName="text"><Label value="Effect"/></Labels>
    <Text name="text" value="$text"/></View>"""
)


def region(name: Any = "a", start: Any = 7, end: Any = 14, **changes: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": ["Drug"], **changes.pop("value", {})}
    kind = {"from_name": "label", "to_name": "text", "type": "labels"}
    return {"id": name, **kind, "value": value, **changes}


def link(head: Any = "a", tail: Any = "b", **changes: Any) -> dict[str, Any]:
    return {"type": "relation", "from_id": head, "to_id": tail, "direction": "right", **changes}


DOSE = region("b", 15, 21, value={"labels": ["Dose"]})
