"""``syncline split switch`` and ``syncline split back``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.application import AppOption
from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, JsonOption, print_json, run, say
from syncline.cli.split_move import DatabaseArgument, Declared, ForceOption, ReasonOption, declared, forced, say_aside

if TYPE_CHECKING:
    from syncline.split.moving.move import Moving
    from syncline.split.switching.finishing import Outcome
    from syncline.split.switching.move import Step

STEPS = {
    1: "the number is noted",
    2: "closing {other}: writers are refused from here",
    3: "{goal} is the link's",
    4: "bringing what was written last",
    5: "opening {goal}",
    6: "the link runs the other way",
    7: "the journal says that {goal} serves",
    8: "every process is to read {goal}",
}
_MILLISECONDS = 1000
_AGES = re.compile(r"its transaction is \S+ old")


def read_pause(text: str) -> timedelta:
    """Read ``800ms``, ``2s``."""
    from syncline.config.settings import duration

    text = text.strip().lower()
    if text.endswith("ms") and text[:-2].strip().isdecimal():
        found: timedelta | None = timedelta(milliseconds=int(text[:-2]))
    else:
        try:
            found = duration(text)
        except ValueError:
            found = None
    if not found:
        raise typer.BadParameter("a duration is expected, such as 800ms or 2s")
    return found


PauseOption = Annotated[
    str, typer.Option("--pause", help="How long writers may be refused; then the side that served serves again.")
]


def switch(
    database: DatabaseArgument = "data",
    pause: PauseOption = "800ms",
    force: ForceOption = False,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the new side accept the writes: they pause for a moment, reads never. `syncline split back` is the way back.

    Applications must run in split mode (SPLIT_DB_MODE=true, both URLs) by then: they follow the gates by themselves.
    Held back unless every table was verified equal since it was copied, less than 1 s of lag and 1,000 changes wait,
    the boundary guards of the application have found nothing for 24 hours, the way back takes a row of each table
    (tried before, and rolled back; a rehearsal of the last 7 days stands for what could not be tried), and nothing is
    parked; --force with a --reason does it all the same, and writes that down.

    Exit status: 0 the new side serves; 3 it does not (held back, or the pause was over: the old side serves as before).
    """
    from syncline.split.moving.looking import look_again

    limit = read_pause(pause)
    with declared(config, app, database) as move:
        one = _ready(move, database)
        speaks = look_again(one, move.plan)
        found = run(_switch(move, one, database, limit, speaks, force=force, reason=reason, as_json=as_json))
        _report(found, as_json=as_json)


def back(
    database: DatabaseArgument = "data",
    pause: PauseOption = "800ms",
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the old side accept the writes again, with every write that was made since the switch.

    The same as the switch, with the sides exchanged. Applications follow, in split mode; after it, single mode works
    again, too.

    Exit status: 0 the old side serves; 3 it does not.
    """
    limit = read_pause(pause)
    with declared(config, app, database) as move:
        one = _ready(move, move.ends.home)
        found = run(_switch(move, one, one.ends.home, limit, (), force=False, reason=None, as_json=as_json))
        _report(found, as_json=as_json)


def _ready(move: Declared, goal: str) -> Moving:
    from syncline.split.moving.newcomers import see_that_all_move
    from syncline.split.moving.state import Phase

    move.ends.sides.check()
    invocation.get().resume = (
        "a worker (`syncline split follow`) brings it to an end, or the next switch, or back, does"
    )
    one = move.begun().required(Phase.FOLLOWING)
    see_that_all_move(one, move.databases.routing.ownership, goal)
    return one


async def _switch(
    move: Declared,
    one: Moving,
    goal: str,
    pause: timedelta,
    speaks: Sequence[str],
    *,
    force: bool,
    reason: str | None,
    as_json: bool,
) -> Outcome:
    from syncline.split.moving import capture
    from syncline.split.moving.evidence import against
    from syncline.split.moving.guarded import read_guarded
    from syncline.split.moving.move import opened_move
    from syncline.split.moving.noting import against_ways_back, note_force
    from syncline.split.moving.noting import tested as read_tested
    from syncline.split.moving.probe import probe
    from syncline.split.switching.finishing import switch as change_sides

    def told(step: Step) -> None:
        if not as_json:
            other = next(side for side in one.ends.names if side != goal)
            say(STEPS[step].format(goal=goal, other=other))

    async with opened_move(one, move.plan) as (sides, link):
        if goal != one.ends.home and not (await sides.look()).settled(goal):
            guarded = await read_guarded(sides.gates[one.ends.home])
            if guarded and not as_json:
                say(guarded.summary)
            tests = await asyncio.to_thread(probe, one)
            _, rehearsed = await asyncio.to_thread(read_tested, one.ends)
            tested = against_ways_back(one, tests, rehearsed)
            if not (tested or as_json):
                say("way back: tested, a row of each table")
            found = [*speaks, *await against(one, link, guarded), *tested]
            if forced(f"the switch of {one.ends.database}", found, force=force, reason=reason):
                await asyncio.to_thread(note_force, one.ends, "switch", reason or "", found)
        await capture.install(one.ways.from_(goal, one.ends.home))  # a column may have come since
        return await change_sides(sides, goal, pause=pause, told=told, waits=waiting_for(as_json=as_json))


def waiting_for(*, as_json: bool) -> Callable[[str], None]:
    """Give what says who is waited for, each text once."""
    said: set[str] = set()

    def waits(who: str) -> None:
        text = _AGES.sub("", who)  # they grow from one try to the next
        if text not in said and not as_json:
            said.add(text)
            say_aside(f"waiting: {who}")

    return waits


def _report(found: Outcome, *, as_json: bool) -> None:
    if as_json:
        milliseconds = round(found.paused_seconds * _MILLISECONDS)
        told = {"serving": found.serving, "number": found.number, "paused_ms": milliseconds, "pending": found.pending}
        print_json(told)
        return
    if found.pending:
        say_aside(
            f"{found.serving} serves; what is written there waits for its way back until the other side is the link's:"
            f" {found.pending}. A worker (`syncline split follow`) brings that to its end"
        )
    if found.number:
        say(
            f"{found.serving} serves; writers were paused for {found.paused_seconds * _MILLISECONDS:.0f} ms",
            "bold green",
        )
    else:
        say(f"{found.serving} serves already", "bold")
