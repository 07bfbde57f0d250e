"""What the links of a move are called: derived from the name of the database that moves."""

from __future__ import annotations

import zlib

from syncline.model.link import LONGEST, problem_of

PREFIX, BACK = "move_", "_back"


def way_of(database: str) -> str:
    """Name the link that carries a database's tables to their new place."""
    name = PREFIX + database
    if problem_of(name) is None and len(name) + len(BACK) <= LONGEST:
        return name
    return f"{PREFIX}x{zlib.crc32(database.encode()):08x}"


def back_of(database: str) -> str:
    """Name the link that carries them home."""
    return way_of(database) + BACK
