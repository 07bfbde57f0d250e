"""``syncline split status``."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from syncline.cli.application import AppOption
from syncline.cli.common import ConfigOption, JsonOption, print_json, print_table, run, say
from syncline.cli.split_move import DatabaseArgument, Declared, declared
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.split.moving.move import Moving
    from syncline.split.moving.standing import Stand

_SHOWN = 2
"""Changes of sides; --json has the last twenty."""


def status(
    database: DatabaseArgument = "data", config: ConfigOption = None, app: AppOption = None, as_json: JsonOption = False
) -> None:
    """Show how a move stands: its phase, which side serves, both links, what is proved, what comes next.

    The phases: schema, copying, following, switching, switched, back, finished, aborted.
    """
    from syncline.split.moving.telling import as_dict

    with declared(config, app, database) as move:
        one, found = run(look(move))
        if as_json:
            print_json(as_dict(database, one, found))
        elif one is None or found is None:
            say(f"the tables of {database} are not moving; `syncline split copy {database}` begins")
        else:
            _print(database, one, found)


async def look(move: Declared) -> tuple[Moving | None, Stand | None]:
    """Look how a move stands; ``None``: none was begun."""
    from syncline.split.moving.newcomers import left_behind
    from syncline.split.moving.standing import stand
    from syncline.split.moving.state import Phase

    one = await asyncio.to_thread(move.moving)
    if one is None:
        return None, None
    found = await stand(one)
    if one.state.phase is Phase.FOLLOWING:
        behind = await asyncio.to_thread(left_behind, one, move.databases.routing.ownership)
        found = replace(found, against=(*found.against, *behind))
    return one, found


def _print(database: str, one: Moving, found: Stand) -> None:
    from syncline.split.moving.telling import next_step

    serving = f"{found.serving} serves" if found.serving else "neither side accepts writes at the moment"
    say(f"{database}: {found.word}; {serving}; {counted(len(one.tables), 'table')}", "bold")
    if found.opened_at:
        say(f"{database} was opened at {found.opened_at:%Y-%m-%d %H:%M:%S %Z}")
    headings = ("written on", "gate", "queue", "lag s", "workers", "parked", "being copied")
    rows = [
        (side, found.modes.get(side, ""), each.queue, f"{each.lag_seconds:.1f}", each.workers, each.parked,
         ", ".join(each.copying))
        for side, each in found.links.items()
    ]  # fmt: skip
    if rows:
        print_table(headings, rows)
    if found.guarded:
        say(found.guarded.summary)
    for change in found.changes[:_SHOWN]:
        pause = "" if change["paused_ms"] is None else f"; writers were paused for {change['paused_ms']} ms"
        say(f"{change['to']} has served since {change['at'][:19]}{pause}")
    if found.rehearsed:
        say(found.rehearsed.summary)
    for each in found.tests:
        if each.problem:
            say(f"the way back of {each.entity} failed at {each.at:%Y-%m-%d %H:%M %Z}: {each.problem}", "yellow")
    for note in one.state.notes:
        say(f"forced: {note['what']} at {note['at'][:19]}, because: {note['reason']}", "yellow")
    what = "the way back" if found.serving == database else "a switch"
    for line in found.against:
        say(f"speaks against {what}: {line}", "yellow")
    say(f"next: {next_step(database, found)}", "dim")
