"""Settings from ``syncline.toml`` and the environment; validated, frozen, secrets never printed."""

from syncline.config.engine import engine_arguments
from syncline.config.load import load, load_links
from syncline.config.secrets import passwords, redact
from syncline.config.settings import (
    HistorySettings,
    LogSettings,
    MappingSettings,
    Settings,
    SourceSettings,
    TargetSettings,
    VerifySettings,
    WorkerSettings,
)

__all__ = [
    "HistorySettings",
    "LogSettings",
    "MappingSettings",
    "Settings",
    "SourceSettings",
    "TargetSettings",
    "VerifySettings",
    "WorkerSettings",
    "engine_arguments",
    "load",
    "load_links",
    "passwords",
    "redact",
]
