"""One application, two databases, one truth.

What an application uses. Each name is imported when it is first asked for, so that optional packages stay optional.
Also for applications: ``syncline.cache``, ``syncline.config``, ``syncline.contrib``, ``syncline.split``,
``syncline.testing`` and ``syncline.telemetry.queries``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from syncline.version import __version__ as __version__

if TYPE_CHECKING:
    from syncline.capture.events import arecord, record
    from syncline.capture.sqlalchemy.bulk import execute_marked, mark_where
    from syncline.capture.sqlalchemy.commits import attach_tokens
    from syncline.capture.sqlalchemy.session import SessionCapture
    from syncline.engines.mongo.reads import Secondary
    from syncline.errors import SynclineError, TargetUnavailableError, TokenError
    from syncline.tokens.freshness import Freshness

__all__ = [
    "Freshness",
    "Secondary",
    "SessionCapture",
    "SynclineError",
    "TargetUnavailableError",
    "TokenError",
    "arecord",
    "attach_tokens",
    "execute_marked",
    "mark_where",
    "record",
]

_PLACES = {
    "Freshness": "tokens.freshness",
    "Secondary": "engines.mongo.reads",
    "SessionCapture": "capture.sqlalchemy.session",
    "SynclineError": "errors",
    "TargetUnavailableError": "errors",
    "TokenError": "tokens.token",
    "arecord": "capture.events",
    "attach_tokens": "capture.sqlalchemy.commits",
    "execute_marked": "capture.sqlalchemy.bulk",
    "mark_where": "capture.sqlalchemy.bulk",
    "record": "capture.events",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'syncline' has no attribute {name!r}")
    return getattr(import_module(f"syncline.{_PLACES[name]}"), name)
