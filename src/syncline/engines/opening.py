"""Opening a source or a target, whatever engine it is."""

from __future__ import annotations

from datetime import timedelta

from syncline.config import TargetSettings
from syncline.engines.cockroach.source import cockroach_source
from syncline.engines.mongo.clients import Clients
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres.connections import SETTINGS, Connections, prepare, require_same
from syncline.engines.postgres.source import SqlSource, postgres_source
from syncline.engines.postgres.target.target import SqlTarget
from syncline.journal.registry import require_installed, schema_version
from syncline.model.link import UNNAMED, Link
from syncline.ports import ConfiguredTarget, Identity
from syncline.postgres.connection import Connection, connect, is_lent, translated
from syncline.postgres.dialect import on_cockroach


async def open_source(
    url: str,
    *,
    worker: str,
    known: Identity | None = None,
    wake: bool = True,
    connect_timeout: timedelta = timedelta(seconds=5),
) -> SqlSource:
    """Connect.

    Args:
        url: the source's connection string.
        worker: this worker's id (a UUID as text).
        known: the server of the session before.
        wake: let writers wake an idle relay, where that can be: it takes a lock and listens, both for its session.
        connect_timeout: how long to wait for each connection.

    Raises:
        SourceUnavailableError: it cannot be reached.
        PoolerError: a pooler is in the way.
        SourceChangedError: another server answers than the known one (restart, failover, restore).
        NotInstalledError, VersionError: Syncline's tables are not there, or not of this version.

    """
    opened: list[Connection] = []
    wait = connect_timeout.total_seconds()
    try:
        for role, settings in SETTINGS.items():
            named = f"syncline {role}"
            opened.append(await connect(url, keyed=True, application=named, settings=settings, timeout_seconds=wait))
        reader, acker, control = opened
        listener = None
        if wake and not is_lent(control):
            listener = await connect(url, application="syncline listener", timeout_seconds=wait)
            opened.append(listener)
        with translated():
            await require_installed(control, await schema_version(control))
        identity = await require_same(control, known)
        for connection in (reader, acker, control):
            await prepare(connection)
    except BaseException:
        for connection in opened:
            await connection.close()
        raise
    connections = Connections(url, identity, reader, acker, control, listener, wait=wait)
    return (cockroach_source if on_cockroach(control) else postgres_source)(connections, worker)


def open_target(
    settings: TargetSettings, link: Link = UNNAMED, *, writers: int = 2, clients: Clients | None = None
) -> ConfiguredTarget:
    """Make a target; it connects when it is first asked.

    Args:
        settings: where it is.
        link: whose writes these are: its way back passes over them.
        writers: so many batches are written side by side.
        clients: of a process that has several targets in one MongoDB.

    """
    if settings.in_postgresql:
        return SqlTarget(
            settings.url,
            schema=settings.control_schema,
            link=link.tag,
            connect_seconds=settings.connect_timeout.total_seconds(),
            timeout_seconds=settings.timeout.total_seconds(),
            sessions=writers + 2,
        )
    return MongoTarget(
        settings.url,
        settings.database,
        control=settings.control_collection,
        link=link.tag,
        client=clients.client(settings.url, settings.connect_timeout) if clients is not None else None,
        timeout=settings.timeout,
        connect_timeout=settings.connect_timeout,
    )
