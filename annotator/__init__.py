"""Label entities and relations in clinical and biomedical text with a model at your side."""

from typing import TYPE_CHECKING

from annotator.lazy import load_when_asked

if TYPE_CHECKING:
    from annotator.errors import AnnotatorError
    from annotator.settings import Settings, load_settings

__all__ = ["AnnotatorError", "Settings", "__version__", "load_settings"]

__version__ = "0.1.0"

__getattr__ = load_when_asked(__name__, errors="AnnotatorError", settings="Settings load_settings")
