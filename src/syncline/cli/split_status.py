"""``syncline split status``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from syncline.cli.application import AppOption
from syncline.cli.common import ConfigOption, JsonOption, print_json, print_table, run, say
from syncline.cli.split_move import DatabaseArgument, declared
from syncline.model.json_names import Named
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.split.moving.move import Moving
    from syncline.split.moving.standing import Stand

_NEXT = {
    "schema": "`syncline split copy {}` goes on",
    "copying": "`syncline split copy {}` goes on",
    "following": "`syncline split switch {}`, when nothing speaks against it",
    "switching": "a running `syncline split follow {}` ends it; so does another switch, or back",
    "switched": "`syncline split back {}` is the way back, `syncline split finish {}` ends it",
    "back": "`syncline split switch {}` again, or `syncline split abort {}`",
    "finished": "`syncline split finish {} --drop` removes the old tables",
    "aborted": "`syncline split abort {} --drop` removes the copy",
}


def status(
    database: DatabaseArgument = "data", config: ConfigOption = None, app: AppOption = None, as_json: JsonOption = False
) -> None:
    """Show how a move stands: its phase, which side serves, both links, what is proved, what comes next.

    The phases: schema, copying, following, switching, switched, back, finished, aborted.
    """
    from syncline.split.moving.newcomers import left_behind
    from syncline.split.moving.standing import stand
    from syncline.split.moving.state import Phase

    with declared(config, app, database) as move:
        one = move.moving()
        found = run(stand(one)) if one else None
        if one and found and one.state.phase is Phase.FOLLOWING:
            behind = left_behind(one, move.databases.routing.ownership)
            found = replace(found, against=(*found.against, *behind))
        if as_json:
            print_json(_as_dict(database, one, found))
        elif one is None or found is None:
            say(f"the tables of {database} are not moving; `syncline split copy {database}` begins")
        else:
            _print(database, one, found)


def _as_dict(database: str, one: Moving | None, found: Stand | None) -> dict[str, Any]:
    if one is None or found is None:
        return {"database": database, "phase": None}
    return {
        "database": database,
        "phase": found.word,
        "home": one.ends.home,
        "serving": found.serving,
        "gates": Named(dict(found.modes)),
        "begun_at": one.state.begun_at.isoformat(),
        "opened_at": found.opened_at.isoformat() if found.opened_at else None,
        "tables": [str(table) for table in one.tables],
        "links": Named({side: _link(standing) for side, standing in found.links.items()}),
        "verified": [
            {
                "entity": proof.entity,
                "verdict": proof.verdict,
                "as_of": proof.as_of.isoformat() if proof.as_of else None,
                "since_the_copy": proof.current,
            }
            for proof in found.proofs
        ],
        "guard": found.guarded.as_dict() if found.guarded else None,
        "way_back": [
            {"entity": each.entity, "tested_at": each.at.isoformat(), "problem": each.problem} for each in found.tests
        ],
        "rehearsed": found.rehearsed and {"at": found.rehearsed.at.isoformat(), **found.rehearsed.report},
        "against": list(found.against),
        "forced": [dict(note) for note in one.state.notes],
    }


def _link(standing: Any) -> dict[str, Any]:
    return {
        "queue_size": standing.queue,
        "lag_seconds": round(standing.lag_seconds, 1),
        "workers": standing.workers,
        "parked": standing.parked,
        "copying": list(standing.copying),
        "held": list(standing.held),
    }


def _print(database: str, one: Moving, found: Stand) -> None:
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
    say(f"next: {_NEXT[found.word].format(database, database)}", "dim")
