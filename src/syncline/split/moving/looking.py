"""A last look at both schemas before a switch."""

from __future__ import annotations

from syncline.split.moving.evidence import schema_against
from syncline.split.moving.gates import serving
from syncline.split.moving.move import Look, Moving
from syncline.split.moving.watched import Watched


def look_again(one: Moving, look: Look) -> list[str]:
    """While home serves: say what of the schema speaks against a switch.

    Raises:
        SchemaMoveError: a side refuses a statement.

    """
    with one.ends.sides.connected() as (home, goal):
        if serving(one.ends, home, goal) != one.ends.home:
            return []
        plan = look(home, goal)
        known = Watched(one.ends.database, one.ends.home, home).all().values()
        return schema_against(one, plan, known)
