"""Structured logs: for people on a terminal, JSON lines elsewhere; secrets masked in both."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from syncline.config import LogSettings, redact
from syncline.config.secrets import MASK

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def setup(settings: LogSettings, *, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Configure structlog for this process; a composition root calls it once.

    Args:
        settings: level and format.
        secrets: texts that must not appear anywhere, such as ``config.passwords(url)``.
        stream: where lines go, by default standard error.

    """
    out = stream or sys.stderr
    as_json = settings.format == "json" or (settings.format == "auto" and not out.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            masking(secrets),
            structlog.processors.JSONRenderer(default=str)
            if as_json
            else structlog.dev.ConsoleRenderer(colors=out.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )


Processor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


def masking(secrets: Iterable[str]) -> Processor:
    """Make a processor that masks passwords in URLs, and ``secrets`` wherever they stand."""
    known = sorted((secret for secret in secrets if len(secret) > 2), key=len, reverse=True)

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            for secret in known:
                value = value.replace(secret, MASK)
            return redact(value)
        if isinstance(value, Mapping):
            return {key: clean(item) for key, item in value.items()}
        return [clean(item) for item in value] if isinstance(value, (list, tuple)) else value

    def process(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: clean(value) for key, value in event.items()}

    return process
