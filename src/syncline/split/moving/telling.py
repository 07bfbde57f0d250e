"""How a move stands, for programs: ``split status --json`` and the operations page."""

from __future__ import annotations

from typing import Any

from syncline.model.json_names import Named
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


def next_step(database: str, found: Stand) -> str:
    """Say what comes next."""
    return _NEXT[found.word].format(database, database)


def as_dict(database: str, one: Moving | None, found: Stand | None) -> dict[str, Any]:
    """Write it; ``None``: no move was begun."""
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
                "table": proof.table,
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
        "changes": [dict(change) for change in found.changes],
        "against": list(found.against),
        "next": next_step(database, found),
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
