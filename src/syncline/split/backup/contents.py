"""Reading what a database holds: digests of its rows, by the server, and what else a restore may lose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from syncline.postgres.sql import blocks
from syncline.split.address import Address
from syncline.split.backup.manifest import Contents
from syncline.split.connecting import connect
from syncline.split.names import Name

# A row is its stored columns as text. The digest is the sum of the two halves of each row's SHA-256's first 128 bits:
# it does not depend on the order of rows, and counts equal rows as often as they are there.
_DIGEST = sql.SQL("""/* syncline */
SELECT count(*), coalesce(sum(('x' || substr(h, 1, 16))::bit(64)::bigint::numeric), 0)::text || ' '
              || coalesce(sum(('x' || substr(h, 17, 16))::bit(64)::bigint::numeric), 0)::text
FROM (SELECT encode(sha256(convert_to(ROW({columns})::text, 'UTF8')), 'hex') AS h FROM ONLY {table} syncline_row) q
""")


@contextmanager
def snapshot(address: Address, of: str | None = None) -> Iterator[psycopg.Connection[Any]]:
    """Open a session whose transaction sees one moment, reads only, and writes values as every other one does.

    Args:
        address: past any pooler.
        of: an exported snapshot to see; by default a new one.

    """
    opened = connect(address, autocommit=True, application_name="syncline backup")
    with opened as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if of is not None:
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(of)))
        settle(connection)
        yield connection


def settle(connection: psycopg.Connection[Any]) -> None:
    """Have values written as every other session writes them, for the transaction under way."""
    connection.execute(_sql("settings"), prepare=False)


def digests(address: Address) -> dict[str, tuple[int, str]]:
    """Read how many rows each table has, and what they are; not of schemas of ours.

    Raises:
        psycopg.Error: one cannot be read.

    """
    with snapshot(address) as connection:
        found = [(Name(schema, name), columns) for schema, name, columns in connection.execute(_sql("tables"))]
        theirs = [one for one in found if not (one[0].schema or "").startswith("syncline_")]
        return {str(name): _digest(connection, name, columns) for name, columns in theirs}


def read_contents(connection: psycopg.Connection[Any], address: Address, jobs: int) -> Contents:
    """Read what a snapshot holds; the tables by several sessions.

    Raises:
        psycopg.Error: a table cannot be read.

    """
    (shared,) = _row(connection, "SELECT pg_catalog.pg_export_snapshot()")
    tables = [(Name(schema, name), columns) for schema, name, columns in connection.execute(_sql("tables"))]
    parts = [tables[start::jobs] for start in range(jobs)]  # the largest ones go to different sessions
    with ThreadPoolExecutor(jobs) as pool:
        found = [dict(one) for one in pool.map(lambda part: list(_digests(address, shared, part)), parts)]
    digests = {name: value for part in found for name, value in part.items()}
    return Contents(
        {str(name): digests[str(name)] for name, _ in sorted(tables, key=lambda one: str(one[0]))},
        {name: (int(value), int(step)) for name, value, step in connection.execute(_sql("sequences"))},
        dict(connection.execute(_sql("objects")).fetchall()),
        int(_row(connection, _sql("large_objects"))[0]),
    )


def is_empty(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether nothing of a user's is in the database."""
    return bool(_row(connection, _sql("is_empty"))[0])


def differences(before: Contents, after: Contents, *, same_major: bool) -> list[str]:
    """Say in what a restored database differs from the one that was dumped.

    Args:
        before: in the manifest.
        after: as it was read.
        same_major: both servers write definitions in the same way.

    """
    found = [*_of_tables(before, after)]
    for name, (value, step) in before.sequences.items():
        there = after.sequences.get(name)
        if there is None:
            found.append(f"sequence {name} is missing")
        elif (there[0] - value) * step < 0:
            found.append(f"sequence {name} stands at {there[0]}, and was at {value}")
    for name, definition in before.objects.items():
        if name not in after.objects:
            found.append(f"{name} is missing")
        elif same_major and after.objects[name] != definition:
            found.append(f"{name} is another one")
    found += [f"{name} is new" for name in after.objects.keys() - before.objects.keys()]
    if before.large_objects != after.large_objects:
        found.append(f"{after.large_objects} large objects, and there were {before.large_objects}")
    return found


def _of_tables(before: Contents, after: Contents) -> Iterator[str]:
    for name, (rows, digest) in before.tables.items():
        if name not in after.tables:
            yield f"table {name} is missing"
        elif after.tables[name][0] != rows:
            yield f"table {name} has {after.tables[name][0]} rows, and had {rows}"
        elif after.tables[name][1] != digest:
            yield f"table {name} has other rows"
    yield from (f"table {name} is new" for name in after.tables.keys() - before.tables.keys())


def _digests(
    address: Address, shared: str, tables: Sequence[tuple[Name, list[str]]]
) -> Iterator[tuple[str, tuple[int, str]]]:
    if not tables:
        return
    with snapshot(address, shared) as connection:
        for name, columns in tables:
            yield str(name), _digest(connection, name, columns)


def _digest(connection: psycopg.Connection[Any], name: Name, columns: Sequence[str]) -> tuple[int, str]:
    query = _DIGEST.format(
        columns=sql.SQL(", ").join(sql.Identifier("syncline_row", column) for column in columns),
        table=sql.Identifier(*(part for part in name if part)),
    )
    rows, digest = _row(connection, query)
    return int(rows), str(digest)


def _row(connection: psycopg.Connection[Any], query: Any) -> Any:
    row = connection.execute(query, prepare=False).fetchone()
    assert row is not None  # noqa: S101  an aggregate has one row
    return row


def _sql(name: str) -> str:
    return blocks("contents.sql", "syncline.split.backup")[name]
