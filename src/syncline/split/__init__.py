"""One application on several PostgreSQL databases: which there are, and which statement belongs to which.

What an application uses. ``pip install 'syncline[split]'``; SQLAlchemy and Django only where they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncline.config.databases import load_databases
    from syncline.split.database import Database
    from syncline.split.databases import Databases
    from syncline.split.sessions import RoutedSession
    from syncline.split.statements import Placeholders, parse

__all__ = ["Database", "Databases", "Placeholders", "RoutedSession", "load_databases", "parse"]

_PLACES = {
    "Database": "split.database",
    "Databases": "split.databases",
    "Placeholders": "split.statements",
    "RoutedSession": "split.sessions",
    "load_databases": "config.databases",
    "parse": "split.statements",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'syncline.split' has no attribute {name!r}")
    return getattr(import_module(f"syncline.{_PLACES[name]}"), name)
