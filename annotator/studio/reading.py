"""What reads the results of a labeling configuration, by name. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from annotator.studio.codec import READER_VERSION
from annotator.studio.config import LabelConfig

__all__ = ["reader_of"]


def reader_of(config: LabelConfig) -> str:
    """Name the reader, and the configuration as far as it decides how results are read.

    Labels that were read under another name are read anew.
    """
    deciding = {key: value for key, value in asdict(config).items() if key != "xml"}
    packed = json.dumps([READER_VERSION, deciding], sort_keys=True)
    return hashlib.sha256(packed.encode()).hexdigest()
