"""Label entities and relations in clinical and biomedical text with a model at your side."""

from annotator.errors import AnnotatorError
from annotator.settings import Settings, load_settings

__all__ = ["AnnotatorError", "Settings", "__version__", "load_settings"]

__version__ = "0.1.0"
