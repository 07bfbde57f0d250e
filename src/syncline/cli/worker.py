"""``syncline worker``."""

from __future__ import annotations

from typing import Annotated

import typer

from syncline.cli.common import ConfigOption, run, settings_from
from syncline.config import passwords
from syncline.telemetry import logs
from syncline.wiring import run_worker


def worker(
    config: ConfigOption = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over a target that belongs to another installation.")
    ] = False,
) -> None:
    """Apply changes until told to stop (SIGTERM, Ctrl-C). Run several: they share the work."""
    settings = settings_from(config)
    logs.setup(settings.log, secrets=passwords(settings.source.url) | passwords(settings.target.url))
    run(run_worker(settings, adopt=adopt))
