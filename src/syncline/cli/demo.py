"""``syncline demo``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from syncline.cli.common import YesOption


def demo(
    seconds: Annotated[float, typer.Option(help="How long there is traffic.", min=4)] = 25,
    app: Annotated[
        Path | None, typer.Option(help="Run the demo of the application in this folder, as its demo.toml says.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C.")] = False,
    yes: YesOption = False,
    record: Annotated[Path | None, typer.Option(help="Write a picture of the run (SVG).", hidden=True)] = None,
) -> None:
    """Try it all: private databases, live traffic, a worker that is killed, and the proof.

    It needs no database, no Docker and no root, and leaves nothing behind. The MongoDB engine is downloaded once, when
    its licence (SSPL) is accepted: --yes or SYNCLINE_ACCEPT_SSPL=1 answer in advance.

    Exit status: that of `syncline verify`.
    """
    from syncline.demo import consent
    from syncline.demo.run import DemoOptions, run_demo

    consent.settle(accepted=yes, ask=typer.confirm if sys.stdin.isatty() else None)
    options = DemoOptions(seconds=seconds, app=app, keep=keep, accept=True, record=record)
    raise typer.Exit(run_demo(options, Console(highlight=False)))
