"""The one place of the version; between releases it is the next one's, with ``.dev0``."""

__version__ = "0.2.0.dev0"
