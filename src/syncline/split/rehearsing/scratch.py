"""The databases of a rehearsal: made on both servers and dropped again, or given empty and emptied again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from syncline.config.urls import source_url, with_database, without_pooler
from syncline.errors import NamedDatabaseError, SchemaMoveError
from syncline.postgres.sql import blocks
from syncline.split.address import Address
from syncline.split.backup.contents import is_empty
from syncline.split.connecting import clean, connect
from syncline.split.moving.ends import Ends
from syncline.split.moving.identity import is_same, place
from syncline.split.schema.sides import Sides, opened

PACKAGE = "syncline.split.rehearsing"
PREFIX = "syncline_split_rehearsal_"
_PROVIDERS = {"i": "LOCALE_PROVIDER icu ICU_LOCALE {}", "b": "LOCALE_PROVIDER builtin BUILTIN_LOCALE {}"}
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Given:
    """Empty databases that somebody else has made: for roles that may make none."""

    home: str | None = None
    goal: str | None = None


def sql(name: str) -> str:
    """Give a statement of ours."""
    return blocks("rehearsing.sql", PACKAGE)[name]


@contextmanager
def scratch(ends: Ends, given: Given, *, keep: bool, tell: Tell) -> Iterator[Ends]:
    """Have two databases for a block; whatever happens they are gone, or empty, afterwards.

    What an earlier rehearsal has left behind, as it was killed or asked to, goes first.

    Args:
        ends: the databases that serve; in these nothing is changed.
        given: databases to use instead of new ones.
        keep: they stay as they are, up to the next rehearsal.
        tell: told what is done.

    Raises:
        SchemaMoveError: a database cannot be made, or one that was given is not empty.
        NamedDatabaseError: one cannot be reached, or is one of those that serve, or both are the same.

    """
    with ExitStack() as stack:
        sides = [
            stack.enter_context(_one(ends, address, option, url, keep=keep, tell=tell))
            for address, option, url in (
                (ends.sides.source, "--home-url", given.home),
                (ends.sides.target, "--goal-url", given.goal),
            )
        ]
        both = Sides(ends.database, *sides)
        both.check()
        yield replace(ends, sides=both)


@contextmanager
def _one(ends: Ends, server: Address, option: str, url: str | None, *, keep: bool, tell: Tell) -> Iterator[Address]:
    if url is not None:
        with _given(ends, server, option, url, keep=keep) as address:
            yield address
        return
    with new_database(server, f"the move of {ends.database}", keep=keep, tell=tell) as address:
        yield address


@contextmanager
def new_database(
    server: Address, what: str, *, keep: bool, tell: Tell, dropped: Tell = lambda _: None
) -> Iterator[Address]:
    """Have a database on a server for a block; what an earlier rehearsal of the same has left behind goes first.

    Args:
        server: where one is made.
        what: is rehearsed.
        keep: it stays as it is, up to the next rehearsal.
        tell: told what is done.
        dropped: told the names of databases that are dropped.

    Raises:
        SchemaMoveError: it cannot be made.

    """
    purpose = f"Syncline: scratch of a rehearsal of {what}"
    with opened(server) as connection:
        for name in _left_over(connection, purpose):
            tell(f"dropping {name}, which an earlier rehearsal has left on the server of {server.called}")
            _drop(connection, name)
            dropped(name)
        name = _made(connection, server)
    address = _within(server, name)
    try:
        with connect(address, autocommit=True) as connection:  # whoever is connected is at work
            connection.execute(SQL("COMMENT ON DATABASE {} IS {}").format(Identifier(name), Literal(purpose)))
            yield address
    finally:
        if keep:
            tell(f"kept, up to the next rehearsal: {address.place}")
        else:
            with opened(server) as connection:
                _drop(connection, name)
            dropped(name)


def _left_over(connection: psycopg.Connection[Any], purpose: str) -> Sequence[str]:
    rows = connection.execute(sql("left_over"), {"prefix": PREFIX, "purpose": purpose}, prepare=False).fetchall()
    return [name for (name,) in rows]


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def _made(connection: psycopg.Connection[Any], server: Address) -> str:
    """Make a database as the one that serves was made; give its name.

    Raises:
        SchemaMoveError: the role may not, or the server refuses.

    """
    name = f"{PREFIX}{uuid4().hex[:12]}"
    try:
        connection.execute(_creation(name, connection.execute(sql("locale"), prepare=False).fetchall()[0]))
    except psycopg.Error as error:
        raise SchemaMoveError(
            f"{server.called}: no database for the rehearsal: {clean(server, error)}",
            hint="ALTER ROLE … CREATEDB, or give two empty ones: --home-url, --goal-url",
        ) from None
    return name


def _creation(name: str, made: Sequence[Any]) -> Composed:
    encoding, collate, ctype, provider, locale = made
    text = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}"
    values = [Identifier(name), Literal(encoding), Literal(collate), Literal(ctype)]
    if provider in _PROVIDERS:
        text, values = f"{text} {_PROVIDERS[provider]}", [*values, Literal(locale)]
    return SQL(text).format(*values)


def _within(server: Address, name: str) -> Address:
    """Give the address of another database of a server."""
    more = tuple(one for one in server.parameters if one[0] != "dbname")
    return replace(server, conninfo=with_database(server.conninfo, name), parameters=more)


@contextmanager
def _given(ends: Ends, server: Address, option: str, url: str, *, keep: bool) -> Iterator[Address]:
    try:
        conninfo, pooled = without_pooler(source_url(url))
    except ValueError as error:
        raise NamedDatabaseError(f"{option}: {error}") from None
    if pooled:
        raise NamedDatabaseError(f"{option} leads through a pooler", hint="give the URL that leads past it")
    timeout = tuple(one for one in server.parameters if one[0] == "connect_timeout")
    address = replace(server, called=option, conninfo=conninfo, parameters=timeout)
    with opened(address) as connection:
        _see_that_none_serves(ends, option, connection)
        if connection.execute(sql("is_marked"), prepare=False).fetchall()[0][0]:
            _emptied(connection)
        if not is_empty(connection):
            raise SchemaMoveError(f"{option}: {address.place} is not empty", hint="give a database of its own to it")
        connection.execute(sql("mark"), prepare=False)
    try:
        yield address
    finally:
        if not keep:
            with opened(address) as connection:
                _emptied(connection)


def _see_that_none_serves(ends: Ends, option: str, connection: psycopg.Connection[Any]) -> None:
    found = place(connection)
    for side in (ends.sides.source, ends.sides.target):
        with opened(side) as serving:
            if is_same(place(serving), found):
                raise NamedDatabaseError(
                    f"{option} leads to the database of {side.called}", hint="a rehearsal needs databases of its own"
                )


def _emptied(connection: psycopg.Connection[Any]) -> None:
    connection.execute(sql("empty"), prepare=False)
    connection.execute(sql("unmark"), prepare=False)
