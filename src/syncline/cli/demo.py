"""``syncline demo``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from syncline.cli.common import YesOption, finite
from syncline.errors import ConfigError


class Play(StrEnum):
    """What is played."""

    SYNC = "sync"
    SPLIT = "split"
    MIGRATE = "migrate"


def demo(
    context: typer.Context,
    play: Annotated[
        Play,
        typer.Argument(
            help="sync: two databases are kept in step; split: one becomes two, and one again;"
            " migrate: from MongoDB to PostgreSQL, and back."
        ),
    ] = Play.SYNC,
    seconds: Annotated[
        float, typer.Option(help="How long there is traffic (sync alone).", min=4, callback=finite)
    ] = 25,
    app: Annotated[
        Path | None, typer.Option(help="Run the demo of the application in this folder, as its demo.toml says.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C (sync alone).")
    ] = False,
    yes: YesOption = False,
    record: Annotated[Path | None, typer.Option(help="Write a picture of the run (SVG).", hidden=True)] = None,
) -> None:
    """Try it all: private databases, live traffic, a worker that is killed, and the proof.

    It needs no database, no Docker and no root, and leaves nothing behind. The MongoDB engine is downloaded once, when
    its licence (SSPL) is accepted: --yes or SYNCLINE_ACCEPT_SSPL=1 answer in advance.

    `syncline demo split --app examples/backoffice` needs PostgreSQL only: an application in use moves a part of its
    tables to a second server, by the commands that an operator types; a coordinator is killed in the middle of the
    switch; and everything comes back.

    `syncline demo migrate --app examples/taskboard`: an application in use on MongoDB goes from phase to phase until
    PostgreSQL is the truth, and back with what was written meanwhile. On the way PostgreSQL is killed for 5 s, and so
    are a worker and the command that changes sides. Steps whose evidence takes more traffic than a demo has are forced.

    Exit status: that of `syncline verify`.
    """
    _require_obeyed(context, play)
    if play is Play.SPLIT:
        from syncline.demo.splitting import run_split_demo

        if app is None or not (app / "syncline.toml").is_file():
            raise ConfigError("the demo of a split plays backoffice", hint="--app examples/backoffice")
        raise typer.Exit(run_split_demo(app, Console(highlight=False), record))
    from syncline.demo import consent
    from syncline.demo.run import DemoOptions, run_demo

    consent.settle(accepted=yes, ask=typer.confirm if sys.stdin.isatty() else None)
    if play is Play.MIGRATE:
        from syncline.demo.migrating import run_migrate_demo

        if app is None or not (app / "manage.py").is_file():
            raise ConfigError("the demo of a migration plays taskboard", hint="--app examples/taskboard")
        raise typer.Exit(run_migrate_demo(app, Console(highlight=False), record))
    options = DemoOptions(seconds=seconds, app=app, keep=keep, accept=True, record=record)
    raise typer.Exit(run_demo(options, Console(highlight=False)))


def _require_obeyed(context: typer.Context, play: Play) -> None:
    """Refuse what a play does not know: the others take as long as their steps, and end with them.

    Raises:
        typer.BadParameter: such an option was given.

    """
    sources = {name: context.get_parameter_source(name) for name in ("seconds", "keep")}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given and play is not Play.SYNC:
        raise typer.BadParameter(f"--{given[0]} is for `syncline demo sync`: `{play}` ends with its last step")
