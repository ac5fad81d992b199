from __future__ import annotations

from pathlib import Path

import pytest

from annotator.model import load_encoder
from annotator.views import AttentionView, view_attention

TEXT = 'Aspirin </td><script>alert("x")</script> & $rash_{1}$ 😀 after Pneumonoultramicroscopic'


@pytest.fixture(scope="session")
def view(tiny_encoder: Path) -> AttentionView:
    """The attention of a random encoder over a text that is hard to show."""
    return view_attention(TEXT, load_encoder(str(tiny_encoder)), source="<ward>-1 & co")
