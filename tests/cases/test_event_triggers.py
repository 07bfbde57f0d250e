"""An event trigger, where it is asked for, says in the transaction of the change itself that capture has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from syncline.capture.postgres.install import InstallOptions, install, plan, uninstall
from syncline.errors import PrivilegeError
from tests.relay import Relay, entity, relayed, until

T = entity("t")
PLAIN = "CREATE TABLE t (id bigint PRIMARY KEY, name text); CREATE TABLE u (id bigint PRIMARY KEY)"


async def installed(relay: Relay, **options: object) -> list[str]:
    async with await psycopg.AsyncConnection.connect(relay.url, autocommit=True) as conn:
        found = await plan(conn, relay.entities, InstallOptions(**options))
        await install(conn, found)
    return found.summary


@pytest.fixture
async def watched(database: str) -> AsyncIterator[Relay]:
    """An installation that a worker has looked at; no worker runs any more."""
    async with relayed(database, ddl=PLAIN, entities=[T]) as relay:
        assert "create event trigger syncline_ddl" in await installed(relay, event_triggers=True)
        async with relay.worker():
            await until(
                lambda: relay.value("SELECT count(*) FROM syncline.observed") == 1, what="the worker has looked"
            )
        yield relay


def told(relay: Relay) -> list[tuple[str, str]]:
    query = "SELECT entity, message FROM syncline.notice WHERE name = 'CaptureBroken' AND severity = 'critical' AND resolved_at IS NULL"
    return relay.sql(query)


ENDED = {
    "a trigger dropped": "DROP TRIGGER syncline_1_update ON t",
    "triggers off": "ALTER TABLE t DISABLE TRIGGER USER",
    "a function dropped": "DROP FUNCTION syncline.capture_1_update() CASCADE",
    "the table renamed": "ALTER TABLE t RENAME TO t1",
    "the table dropped": "DROP TABLE t CASCADE",
    "the table swapped": "BEGIN; CREATE TABLE t2 (LIKE t); ALTER TABLE t RENAME TO t1; ALTER TABLE t2 RENAME TO t; COMMIT",
    "the table in another schema": "CREATE SCHEMA old; ALTER TABLE t SET SCHEMA old",
}


async def test_what_ends_capture_is_said_at_once_without_any_worker(watched: Relay) -> None:
    for change, statement in ENDED.items():
        with watched.conn.transaction(force_rollback=True):
            watched.sql(statement.removeprefix("BEGIN; ").removesuffix("; COMMIT"))
            assert [name for name, _ in told(watched)] == ["t"], change
            assert "run `syncline install`" in told(watched)[0][1], change
        assert told(watched) == [], f"{change}: with the change itself"


async def test_a_worker_ends_what_was_said_when_it_is_over(watched: Relay) -> None:
    watched.sql("ALTER TABLE t DISABLE TRIGGER USER")
    assert told(watched)
    await installed(watched, event_triggers=True)
    async with watched.worker():
        await until(lambda: not told(watched), what=lambda: f"{told(watched)}")


OTHER = (
    "CREATE TABLE v (id int); ALTER TABLE v ADD x int; DROP TABLE v",
    "ALTER TABLE t ADD x int, ALTER name SET DEFAULT 'x'; CREATE INDEX ON t (name)",
    "ALTER TABLE u RENAME TO u1",
    "CREATE TEMP TABLE t (id int); ALTER TABLE pg_temp.t RENAME TO t9; DROP TABLE t9",
)


async def test_other_changes_and_installations_say_nothing(watched: Relay) -> None:
    for statement in OTHER:
        watched.sql(statement)
        assert told(watched) == [], statement
    watched.entities = [entity("u", table="u1")]
    await installed(watched, event_triggers=True)
    assert told(watched) == [], "our own change of triggers"


async def test_a_change_never_fails_because_of_the_event_trigger(watched: Relay) -> None:
    """Our tables are gone, locked, or refuse: the change goes on."""
    with psycopg.connect(watched.url) as other:
        other.execute("LOCK TABLE syncline.notice")
        watched.sql("ALTER TABLE t DISABLE TRIGGER USER")
    watched.sql("ALTER TABLE syncline.notice ADD CONSTRAINT never CHECK (message = '') NOT VALID")
    watched.sql("ALTER TABLE t ENABLE TRIGGER USER")
    watched.sql("DROP TABLE syncline.observed; DROP TRIGGER syncline_1_update ON t")
    watched.sql("DROP SCHEMA syncline CASCADE; ALTER TABLE t ADD y int")
    assert watched.sql("SELECT FROM pg_event_trigger") == []


async def test_it_stays_goes_and_is_put_right(watched: Relay) -> None:
    count = "SELECT count(*) FROM pg_event_trigger WHERE evtname = 'syncline_ddl' AND evtenabled = 'A'"
    assert not any("event trigger" in line for line in await installed(watched, event_triggers=True)), "nothing to do"
    assert not any("event trigger" in line for line in await installed(watched)), "workers leave it as it is"
    watched.sql("ALTER EVENT TRIGGER syncline_ddl DISABLE")
    assert "replace event trigger syncline_ddl" in await installed(watched, event_triggers=True)
    assert watched.value(count) == 1
    assert "drop event trigger syncline_ddl" in await installed(watched, event_triggers=False)
    assert watched.value(count) == 0
    await installed(watched, event_triggers=True)
    async with await psycopg.AsyncConnection.connect(watched.url, autocommit=True) as conn:
        assert "drop event trigger syncline_ddl" in (await uninstall(conn)).summary
    assert watched.value("SELECT count(*) FROM pg_event_trigger") == 0


@pytest.fixture
def owner(database: str) -> Iterator[str]:
    """A plain role that owns the tables."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS event_owner")
        connection.execute("CREATE ROLE event_owner")
        connection.execute("GRANT ALL ON SCHEMA public TO event_owner")
        connection.execute(
            psycopg.sql.SQL("GRANT CREATE ON DATABASE {} TO event_owner").format(
                psycopg.sql.Identifier(connection.info.dbname)
            )
        )
        try:
            yield f"{database}{'&' if '?' in database else '?'}options=-crole%3Devent_owner"
        finally:
            connection.execute("DROP OWNED BY event_owner CASCADE")
            connection.execute("DROP ROLE event_owner")


async def test_a_plain_owner_is_refused_in_one_sentence_and_installs_without(owner: str, database: str) -> None:
    async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as conn:
        await conn.execute(PLAIN)
        with pytest.raises(PrivilegeError, match="event_owner may not create event triggers") as raised:
            await plan(conn, [T], InstallOptions(event_triggers=True))
        assert "install as a superuser, or take event_triggers out" in raised.value.hint
        await install(conn, await plan(conn, [T], InstallOptions(event_triggers=False)))
        assert not (await plan(conn, [T], InstallOptions(event_triggers=False))).changes
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        with pytest.raises(
            PrivilegeError, match="the schema syncline belongs to event_owner, who would act with the rights"
        ):
            await plan(conn, [T], InstallOptions(event_triggers=True))
