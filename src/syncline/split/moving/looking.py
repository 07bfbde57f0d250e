"""A last look at both schemas before a switch."""

from __future__ import annotations

from dataclasses import replace

from syncline.split.moving.altering import Look
from syncline.split.moving.evidence import schema_against
from syncline.split.moving.move import Moving
from syncline.split.moving.opening import opening_of
from syncline.split.moving.state import Book
from syncline.split.moving.watched import Watched
from syncline.split.moving.watching import serving


def look_again(one: Moving, look: Look) -> tuple[Moving, list[str]]:
    """While home serves: note what is turned on at an opening, and say what of the schema speaks against a switch.

    Raises:
        SchemaMoveError: a side refuses a statement.

    """
    with one.ends.sides.connected() as (home, goal):
        if serving(one, home, goal) != one.ends.home:
            return one, []
        plan = look(home, goal)
        book = Book(one.ends.database, home)
        book.keep_opening(opening_of(plan))
        known = Watched(one.ends.database, one.ends.home, home).all().values()
        return replace(one, state=book.required()), schema_against(one, plan, known)
