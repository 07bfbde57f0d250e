"""Reinstallation: capture is put back as an installation would, each entity on its own where one of them cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from psycopg import AsyncConnection

from syncline.capture.postgres.event_triggers import may_create
from syncline.capture.postgres.functions import way_back_of
from syncline.capture.postgres.halves import lost_entities
from syncline.capture.postgres.install import InstallOptions, InstallPlan, install_in_turn, plan
from syncline.capture.postgres.state import read, read_functions
from syncline.errors import SourceUnavailableError, SynclineError
from syncline.journal.declared import declaration
from syncline.journal.parts import missing_parts
from syncline.journal.registry import installed
from syncline.model.entity import Entity
from syncline.model.link import Link, current, entered
from syncline.postgres.connection import translated
from syncline.postgres.dialect import on_cockroach

PATIENCE = timedelta(seconds=5)
"""How long tables are tried again that others hold: it is done again later."""
Captured = Sequence[tuple[Entity, Literal["triggers", "session"]]]


async def put_back(
    conn: AsyncConnection[Any],
    configured: Sequence[Entity],
    *,
    capture: Literal["triggers", "session"],
    wake: bool,
    event_triggers: bool = False,
) -> Mapping[str, SynclineError]:
    """Do what an installation would about capture, and have marked what was missed; the view for people stays as it is.

    What is installed counts, not the configuration: that is for the one time that nobody knows any more what was.

    Args:
        conn: to the source, in autocommit mode.
        configured: the entities of the configuration.
        capture: how those would be captured.
        wake: whether writers wake the worker.
        event_triggers: put the event trigger back, too, where the role may; one that is there stays in any case.

    Returns:
        The entities that could not be put back, and why.

    Raises:
        SourceUnavailableError: the source does not answer.
        DamagedError: nobody knows any more which installation this was.

    """
    with translated():
        entities = await _entities(conn, configured, capture)
        options = await _options(conn, wake=wake, event_triggers=event_triggers)
        link = await _link(conn)
    with entered(link):
        return await _put_back(conn, entities, options)


async def _put_back(
    conn: AsyncConnection[Any], entities: Captured, options: InstallOptions
) -> Mapping[str, SynclineError]:
    names = frozenset(entity.name for entity, _ in entities)
    if len({how for _, how in entities}) == 1:
        error = await _tried(conn, entities, options)
        if error is None:
            return {}
        if len(entities) == 1:
            return {entities[0][0].name: error}
    failed = {}
    for one in entities:
        name = one[0].name
        error = await _tried(conn, [one], replace(options, leaving=names - {name}))
        if error is not None:
            failed[name] = error
    return failed


async def _tried(conn: AsyncConnection[Any], entities: Captured, options: InstallOptions) -> SynclineError | None:
    how = replace(options, capture=entities[0][1]) if entities else options

    async def planned() -> InstallPlan:
        return await plan(conn, [entity for entity, _ in entities], how)

    try:
        await install_in_turn(conn, await planned(), planned, patience=PATIENCE)
    except SourceUnavailableError:
        raise
    except SynclineError as error:
        return error
    return None


async def _entities(
    conn: AsyncConnection[Any], configured: Sequence[Entity], capture: Literal["triggers", "session"]
) -> Captured:
    if lost_entities(await missing_parts(conn)):
        return [(entity, capture) for entity in configured]
    present = await installed(conn, older=True)
    return [(declaration(one), "session" if one.capture == "session" else "triggers") for one in present.values()]


async def _link(conn: AsyncConnection[Any]) -> Link:
    """Take the way back from what is installed: the file of this worker may be an older one."""
    functions = [] if on_cockroach(conn) else [one for one in await read_functions(conn) if one.definer]
    if not functions:
        return current()
    tags = [tag for one in functions if (tag := way_back_of(one.body)) is not None]
    return replace(current(), reverse=tags[0] if tags else None)


async def _options(conn: AsyncConnection[Any], *, wake: bool, event_triggers: bool) -> InstallOptions:
    views = [] if on_cockroach(conn) else await read(conn, "other_views")
    view = {"view_schema": views[0]["schema"], "view_name": views[0]["name"]} if views else {"view_schema": None}
    event = event_triggers and not on_cockroach(conn) and await may_create(conn)
    return InstallOptions(wake=wake, backfill=True, event_triggers=True if event else None, **view)
