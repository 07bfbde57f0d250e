"""``syncline worker``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from syncline.cli.common import ConfigOption, run, settings_from
from syncline.config import Settings, passwords
from syncline.telemetry import logs
from syncline.wiring import run_worker


class Verify(StrEnum):
    """How a worker verifies."""

    CONTINUOUSLY = "continuously"


def worker(
    config: ConfigOption = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over a target that belongs to another installation.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve Prometheus metrics at this port, path /metrics (0: any free one).", min=0, max=65535),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address to serve them at.")] = "127.0.0.1",
    verify: Annotated[
        Verify | None,
        typer.Option("--verify", help="Also verify every entity again and again; see [verify] in the configuration."),
    ] = None,
) -> None:
    """Apply changes until told to stop (SIGTERM, Ctrl-C). Run several: they share the work."""
    settings = settings_from(config)
    if verify is not None:
        settings = replace(settings, verify=settings.verify.model_copy(update={"continuously": True}))
    logs.setup(settings.log, secrets=passwords(settings.source.url) | passwords(settings.target.url))
    if metrics_port is None:
        run(run_worker(settings, adopt=adopt))
    else:
        run(_observed(settings, metrics_host, metrics_port, adopt=adopt))


async def _observed(settings: Settings, host: str, port: int, *, adopt: bool) -> None:
    from syncline.web.exporter import observed  # needs the extra [metrics]

    async with observed(settings, host=host, port=port) as observer:
        await run_worker(settings, observer=observer, adopt=adopt)
