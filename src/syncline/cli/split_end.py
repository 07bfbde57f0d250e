"""``syncline split abort`` and ``syncline split finish``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from syncline.cli.application import AppOption
from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, JsonOption, YesOption, confirm, print_json, run, say
from syncline.cli.split_move import DatabaseArgument, ForceOption, ReasonOption, declared, forced


def abort(
    database: DatabaseArgument = "data",
    drop: Annotated[bool, typer.Option("--drop", help="Also drop what was copied to the new side.")] = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a move up before the new side serves: links, capture and gates go; the tables at home are as they ever were.

    The copy stays, and nobody can write it; --drop drops it (tables and views, not types and functions), so that
    another move can begin. Processes should be in single mode again before. Killed anywhere, the next call goes on.
    """
    from syncline.split.moving.ending import abort as give_up
    from syncline.split.moving.state import Phase

    with declared(config, app, database) as move:
        move.ends.sides.check()
        one = move.begun().required(Phase.SCHEMA, Phase.COPYING, Phase.FOLLOWING, Phase.ABORTED)
        what = f"Give up the move of {database}" + (f", and drop {len(one.tables)} tables there" if drop else "")
        confirm(f"{what}?", yes=yes)
        invocation.get().resume = f"`syncline split abort {database}` goes on from here"
        run(give_up(one, drop=drop))
    _tell(as_json, {"database": database, "phase": None if drop else "aborted"})
    if not as_json:
        say(f"given up; {one.ends.home} serves the tables of {database} alone", "green")
        say("processes in split mode refuse these tables from now on: SPLIT_DB_MODE=false, DATABASE_URL")
        if not drop:
            say(f"the copy is there, read-only; `syncline split abort {database} --drop` drops it")


def finish(
    database: DatabaseArgument = "data",
    drop: Annotated[bool, typer.Option("--drop", help="Also drop the old tables.")] = False,
    force: ForceOption = False,
    reason: ReasonOption = None,
    yes: YesOption = False,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the way back, 14 days after the switch: links, capture and the new side's gate go.

    The old tables stay where they are, and nobody can write them, until --drop drops them. There is no way back after
    it but a move of the other kind.
    """
    from syncline.split.moving.ending import against_finishing
    from syncline.split.moving.ending import finish as end
    from syncline.split.moving.noting import note_force
    from syncline.split.moving.state import Phase

    with declared(config, app, database) as move:
        move.ends.sides.check()
        one = move.begun().required(Phase.FOLLOWING, Phase.FINISHED)
        if one.state.phase is Phase.FOLLOWING:
            found = run(against_finishing(one))
            if forced(f"the end of the move of {database}", found, force=force, reason=reason):
                run(asyncio.to_thread(note_force, one.ends, "finish", reason or "", found))
        what = f"End the way back to {one.ends.home}" + (", and drop the old tables" if drop else "")
        confirm(f"{what}? It cannot be undone.", yes=yes)
        invocation.get().resume = f"`syncline split finish {database}` goes on from here"
        run(end(one, drop=drop, forced=force))
    _tell(as_json, {"database": database, "phase": None if drop else "finished"})
    if not as_json:
        say(f"finished; {database} serves its tables alone", "green")
        if not drop:
            say(f"the old ones are read-only; `syncline split finish {database} --drop` drops them")


def _tell(as_json: bool, what: dict[str, object]) -> None:
    if as_json:
        print_json(what)
