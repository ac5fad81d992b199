from __future__ import annotations

import pytest

from annotator.studio.cautions import cautions_of
from annotator.studio.config import parse_config

TEXT = '<Text name="text" value="$text"/>'
LABELS = '<Labels name="label" toName="text"><Label value="Drug"/></Labels>'
PER_REGION = '<Choices name="sure" toName="text" perRegion="true"><Choice value="no"/></Choices>'
CASES = {
    "choices": (PER_REGION, '<Choices name="sure"> asks about single regions'),
    "note": ('<TextArea name="why" toName="text"/>', '<TextArea name="why"> asks about text'),
    "box": ('<Image name="i" value="$i"/><RectangleLabels name="b" toName="i"/>', "about i"),
    "taxonomy": ('<Taxonomy name="tax" toName="text" labeling="true"/>', '<Taxonomy name="tax">'),
    "second control": (
        '<Labels name="more" toName="text"><Label value="Drug"/><Label value="Sign"/></Labels>',
        "label Drug is in the controls label, more",
    ),
}


@pytest.mark.parametrize(("part", "says"), CASES.values(), ids=CASES)
def test_what_is_not_taken_over_is_named(part: str, says: str) -> None:
    (caution,) = cautions_of(parse_config(f"<View>{LABELS}{TEXT}{part}</View>"))

    assert says in caution


def test_a_plain_configuration_has_no_caution() -> None:
    aids = '<Filter toName="label" name="f"/><Header value="Read"/><Shortcut toName="text"/>'

    assert cautions_of(parse_config(f"<View>{aids}{LABELS}{TEXT}</View>")) == []
