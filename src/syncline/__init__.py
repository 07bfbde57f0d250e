"""One application, two databases, one truth."""

__version__ = "0.1.0"
