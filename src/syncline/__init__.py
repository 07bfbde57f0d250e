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
    from syncline.capture.commits import attach_tokens
    from syncline.capture.events import arecord, record
    from syncline.capture.freshness import Freshness
    from syncline.capture.session import SessionCapture
    from syncline.capture.token import TokenError
    from syncline.errors import SynclineError, TargetUnavailableError
    from syncline.targets.reads import Secondary

__all__ = [
    "Freshness",
    "Secondary",
    "SessionCapture",
    "SynclineError",
    "TargetUnavailableError",
    "TokenError",
    "arecord",
    "attach_tokens",
    "record",
]

_PLACES = {
    "Freshness": "capture.freshness",
    "Secondary": "targets.reads",
    "SessionCapture": "capture.session",
    "SynclineError": "errors",
    "TargetUnavailableError": "errors",
    "TokenError": "capture.token",
    "arecord": "capture.events",
    "attach_tokens": "capture.commits",
    "record": "capture.events",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'syncline' has no attribute {name!r}")
    return getattr(import_module(f"syncline.{_PLACES[name]}"), name)
