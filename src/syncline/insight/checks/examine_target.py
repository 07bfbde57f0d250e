"""The checks of a target, by what it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from syncline.config import Settings
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres.target.target import SqlTarget
from syncline.insight.checks import sql_target, target
from syncline.insight.checks.finding import Finding, Subject
from syncline.ports import Target


async def examine(one: Target, settings: Settings) -> tuple[bool, list[Finding]]:
    """Run every check there is for it, and tell whether it is reached; of a target of another kind nothing is known."""
    match one:
        case MongoTarget():
            return await target.examine(one, settings)
        case SqlTarget():
            return await sql_target.examine(one, settings)
        case _:
            return True, []


def both_sides(one: Target) -> list[Callable[[Subject], Awaitable[list[Finding]]]]:
    """Give the checks that compare it with the source."""
    return sql_target.checks(one) if isinstance(one, SqlTarget) else []
