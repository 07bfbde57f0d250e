"""How the work of a link is done, for links that no file declares: the sections that all links share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from syncline.config import environment, problems
from syncline.config.load import contents
from syncline.config.problems import Origin
from syncline.config.settings import (
    HistorySettings,
    LogSettings,
    MappingSettings,
    Section,
    VerifySettings,
    WorkerSettings,
)


class SharedSections(Section):
    """``[worker]``, ``[history]``, ``[mapping]``, ``[verify]`` and ``[log]``; the rest belongs to others."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    worker: WorkerSettings = WorkerSettings()
    history: HistorySettings = HistorySettings()
    mapping: MappingSettings = MappingSettings()
    verify: VerifySettings = VerifySettings()
    log: LogSettings = LogSettings()


def load_sections(path: Path | None = None, env: Mapping[str, str] = os.environ) -> SharedSections:
    """Read them.

    Raises:
        ConfigError: every problem found, each with its place.

    """
    _, name, text, data = contents(path, env)
    origin = Origin(name, text, environment.overlay(data, env))
    try:
        return TypeAdapter(SharedSections).validate_python(data, by_alias=True, by_name=False)
    except ValidationError as error:
        found = [problems.explain(detail, SharedSections) for detail in error.errors()]
        raise problems.error(found, origin) from None
