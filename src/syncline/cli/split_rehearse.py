"""``syncline split rehearse``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from syncline.cli.application import AppOption
from syncline.cli.boundary import INTERRUPTED, invocation
from syncline.cli.common import ConfigOption, JsonOption, keep_secret, print_json, say
from syncline.cli.rehearsing import MILLISECONDS, Rehearsal, play
from syncline.cli.split_copy import Wish, log_warnings
from syncline.cli.split_move import DatabaseArgument, Declared, declared, say_aside
from syncline.cli.split_switch import PauseOption, read_pause
from syncline.errors import RehearsalError
from syncline.model.words import counted

FAILED = 1
"""Exit status: the rehearsal came to a step that fails."""


def rehearse(
    database: DatabaseArgument = "data",
    home_url: Annotated[
        str | None,
        typer.Option("--home-url", help="An empty database for the copy of what serves; default: a new one."),
    ] = None,
    goal_url: Annotated[
        str | None,
        typer.Option("--goal-url", help="An empty database to move to; default: a new one beside the real one."),
    ] = None,
    writes: Annotated[int, typer.Option(help="Writes on each side, through the gates; 0: none.", min=0)] = 100,
    jobs: Annotated[int, typer.Option(help="Copy so many ranges of a table at a time.", min=1, max=32)] = 1,
    rate: Annotated[
        int | None, typer.Option(help="Copy so many rows a second at most; 0: no limit. [default: 10000]", min=0)
    ] = None,
    pause: PauseOption = "800ms",
    keep: Annotated[bool, typer.Option("--keep", help="Leave both databases there, up to the next rehearsal.")] = False,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play a whole move in scratch databases: copy, follow, switch, back; say how long each step took.

    The tables that move are read at home as a dump reads them, in one snapshot, into a new database on the same server;
    the move goes from there to a new one on the server of the other side, with writes in between, and contents are
    compared after each change of sides. What serves is read, and nothing else: no gate, trigger, link or row of it is
    changed. The result is noted at home, and stands for a test of the way back for 7 days (`syncline split switch`).
    Both databases are dropped at the end; those of a rehearsal that was killed by the next one.

    Exit status: 0 it went through, and contents are equal; 1 a step has failed; 130 interrupted; 3 could not run.
    """
    from syncline.split.rehearsing.records import Clock
    from syncline.split.rehearsing.scratch import Given, scratch

    played = Rehearsal(writes, read_pause(pause), Clock())
    wish = Wish(jobs, rate, as_json, begins=played.clock.begin)
    with declared(config, app, database) as move:
        for url in (home_url, goal_url):
            if url is not None:
                keep_secret(url)
        move.ends.sides.check()
        log_warnings(move)
        invocation.get().resume = "nothing of it is left; or the next rehearsal tidies up"
        try:
            with scratch(move.ends, Given(home_url, goal_url), keep=keep, tell=say_aside) as ends:
                play(move, replace(move, ends=ends), played, wish)
        except asyncio.CancelledError:
            raise typer.Exit(INTERRUPTED) from None
        except RehearsalError as error:
            say_aside(error.message)
            if error.hint:
                say_aside(error.hint)
            raise typer.Exit(FAILED) from None
        report = _report(played)
        _note(move, list(played.rows), report)
    _print(database, report, as_json=as_json)


def _report(played: Rehearsal) -> dict[str, Any]:
    first, second = [*played.paused.values()]
    return {
        "seconds": round(played.clock.seconds, 1),
        "tables": len(played.rows),
        "rows": sum(played.rows.values()),
        "equal": True,
        "switch_paused_ms": first,
        "back_paused_ms": second,
        "steps": [{"step": step, "seconds": round(seconds, 2)} for step, seconds in played.clock.steps],
        "written": played.written,
    }


def _note(move: Declared, tables: Sequence[str], report: Mapping[str, Any]) -> None:
    """Note it at home, where it counts for a switch."""
    from syncline.split.rehearsing.records import remember
    from syncline.split.schema.sides import opened

    with opened(move.ends.sides.source) as home:
        remember(home, move.ends.database, tables, report)


def _print(database: str, report: Mapping[str, Any], *, as_json: bool) -> None:
    from syncline.cli.common import print_table
    from syncline.model.json_names import Named

    if as_json:
        print_json({"database": database, **report, "written": Named(report["written"])})
        return
    print_table(("step", "seconds"), [(each["step"], f"{each['seconds']:.2f}") for each in report["steps"]])
    for side, counts in report["written"].items():
        refused = f", {counts['refused']} refused ({counts['why']})" if counts["refused"] else ""
        longest = counts["longest_seconds"] * MILLISECONDS
        say(f"{counts['done']} writes on {side}, the longest took {longest:.0f} ms{refused}")
    pauses = report["switch_paused_ms"], report["back_paused_ms"]
    say(f"writers were paused for {pauses[0]} ms by the switch, and {pauses[1]} ms by the way back")
    what = f"{counted(report['tables'], 'table')} with {report['rows']:,} rows"
    say(f"{what} moved there and back in {report['seconds']:.0f} s, and both sides were equal", "bold green")
