"""``syncline split follow``."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.application import AppOption
from syncline.cli.common import ConfigOption, run
from syncline.cli.split_move import DatabaseArgument, declared
from syncline.cli.worker import LogFormat, LogLevel, arm

if TYPE_CHECKING:
    from syncline.config.settings import LogSettings
    from syncline.split.moving.move import Look, Moving
    from syncline.split.switching.finishing import Outcome

LOOK_SECONDS = 2.0
"""Between looks at a move whose journal is gone, though it was neither finished nor given up."""


def follow(
    database: DatabaseArgument = "data",
    log_level: Annotated[
        LogLevel | None, typer.Option("--log-level", help="Instead of `level` of [log]; debug has a line per record.")
    ] = None,
    log_format: Annotated[LogFormat | None, typer.Option("--log-format", help="Instead of `format` of [log].")] = None,
    config: ConfigOption = None,
    app: AppOption = None,
) -> None:
    """Carry over what is written, until stopped (SIGTERM, Ctrl-C): a worker of the move. Several share the work.

    It serves both directions, before the switch and after it, and finishes a switch whose coordinator has died. A move
    needs at least one that runs, from the copy to `syncline split finish`, which ends it.
    """
    from syncline.config import passwords
    from syncline.split.moving.state import Phase
    from syncline.split.moving.watching import watching
    from syncline.telemetry import logs

    with declared(config, app, database) as move:
        move.ends.sides.check()
        one = move.begun().required(Phase.FOLLOWING)
        told = {"level": log_level and log_level.value, "format": log_format and log_format.value}
        log = move.sections.log.model_copy(update={name: value for name, value in told.items() if value})
        urls = [side.url for way in (one.ways.there, one.ways.back) for side in (way.source, way.target)]
        logs.setup(log, secrets=frozenset().union(*map(passwords, urls)))
        with watching(one, move.plan, _tell_schema):
            run(_follow(one, log, move.plan))


async def _follow(one: Moving, log: LogSettings, look: Look) -> None:
    from syncline.running import run_workers
    from syncline.split.moving.move import opened_move
    from syncline.split.moving.noting import is_over
    from syncline.split.switching.takeover import watch

    async def finish() -> None:
        """Bring switches to their end, until the move is over: the workers end with it."""
        async with opened_move(one, look) as (move, _):
            await watch(move, told=_tell)
            while not await asyncio.to_thread(is_over, one.ends):
                await asyncio.sleep(LOOK_SECONDS)
                await watch(move, told=_tell)

    links = [(replace(way, log=log), None) for way in (one.ways.there, one.ways.back)]
    await run_workers(links, asked=arm, beside=[finish])


def _tell(found: Outcome | Exception) -> None:
    import structlog

    log = structlog.get_logger("syncline")
    if isinstance(found, Exception):
        log.warning(
            "the sides of the move could not be looked at, or a switch not be finished, yet", error=_first_line(found)
        )
    elif found.pending:
        log.warning("the way back of a switch waits", serving=found.serving, why=found.pending)
    else:
        log.warning("a switch that was left in the middle was finished", serving=found.serving)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _tell_schema(line: str) -> None:
    import structlog

    structlog.get_logger("syncline").warning("a schema change under way", what=line)
