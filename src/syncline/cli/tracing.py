"""``syncline tracing``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from syncline.cli.common import ConfigOption, JsonOption, print_json, run, say, settings_from

if TYPE_CHECKING:
    from syncline.config import Settings


def tracing(
    state: Annotated[str, typer.Argument(metavar="[on|off|status]", help="What to do.")] = "status",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Link the request that wrote to the apply that delivered: remember each transaction's trace, or stop.

    Off by default. Needs an application that tells its traces, and workers started with `--tracing`.
    """
    if state not in ("on", "off", "status"):
        raise typer.BadParameter(f"{state!r} is not one of on, off, status")
    now_on = run(_tracing(settings_from(config), state))  # type: ignore[arg-type]  # looked at just now
    if as_json:
        print_json({"tracing": now_on})
    elif now_on:
        say("traces of transactions are remembered; start workers with --tracing")
    else:
        say("traces of transactions are not remembered; `syncline tracing on` changes that")


async def _tracing(settings: Settings, state: Literal["on", "off", "status"]) -> bool:
    from syncline.insight.reach import check_installed
    from syncline.journal import traces
    from syncline.wiring.sides import opened_source

    async with opened_source(settings) as connection:
        await check_installed(connection)
        if state == "on":
            await traces.turn_on(connection)
        elif state == "off":
            await traces.turn_off(connection)
        return await traces.is_on(connection)
