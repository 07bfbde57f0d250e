"""A real data set: the Chinook music store, all eleven tables, changed while it is copied."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bson.decimal128 import Decimal128

from tests.acceptance.running import Syncline, differing

CHECKOUT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SYNCLINE_TEST_CHINOOK", CHECKOUT.parent / "shared/data/chinook_postgresql.sql"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not DATA.is_file(),
        reason=f"SKIPPED FOR WANT OF DATA: no {DATA}; set SYNCLINE_TEST_CHINOOK to Chinook's SQL file",
    ),
]

KEYS = {
    "album": ("album_id",), "artist": ("artist_id",), "customer": ("customer_id",), "employee": ("employee_id",),
    "genre": ("genre_id",), "invoice": ("invoice_id",), "invoice_line": ("invoice_line_id",),
    "media_type": ("media_type_id",), "playlist": ("playlist_id",), "playlist_track": ("playlist_id", "track_id"),
    "track": ("track_id",),
}  # fmt: skip

TABLE_BY_TABLE = "".join(f"[entities.{table}]\n" for table in KEYS)
EMBEDDED = """
[entities.artist]
[entities.album.embed.tracks]
table = "track"
on = "album_id"
[entities.customer]
[entities.employee]
[entities.genre]
[entities.media_type]
[entities.invoice.embed.lines]
table = "invoice_line"
on = "invoice_id"
[entities.playlist.embed.entries]
table = "playlist_track"
on = "playlist_id"
"""
EMBEDS = {
    "album": ("tracks", "track", "album_id"),
    "invoice": ("lines", "invoice_line", "invoice_id"),
    "playlist": ("entries", "playlist_track", "playlist_id"),
}


@pytest.fixture
def chinook(database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(DATA.read_text("utf-8"))
        yield connection


def test_every_table_becomes_a_collection(chinook, database, mongo_url, mongo_db, tmp_path):
    syncline = Syncline(tmp_path, source=database, target=mongo_url, database=mongo_db, entities=TABLE_BY_TABLE)
    synced_under_change(syncline, chinook, seed=1)
    for table in KEYS:
        assert differing(expected(chinook, table), syncline.documents(table)) == []


def test_albums_embed_their_tracks(chinook, database, mongo_url, mongo_db, tmp_path):
    syncline = Syncline(tmp_path, source=database, target=mongo_url, database=mongo_db, entities=EMBEDDED)
    synced_under_change(syncline, chinook, seed=2)
    for table in KEYS.keys() - {child for _, child, _ in EMBEDS.values()}:
        wanted = expected(chinook, table)
        if table in EMBEDS:
            embed(chinook, wanted, *EMBEDS[table])
        assert differing(wanted, syncline.documents(table)) == []
    assert sum(len(album["tracks"]) for album in syncline.documents("album").values()) > 3000


def synced_under_change(syncline: Syncline, connection: psycopg.Connection[Any], *, seed: int) -> None:
    """Install, copy and change at the same time, and have it proved equal."""
    syncline.call("install", "--yes")
    with syncline.worker():
        dice = random.Random(seed)
        change(connection, dice, 1000)
        connection.execute("UPDATE track SET unit_price = unit_price * 1.1")
        change(connection, dice, 1000)
        with connection.transaction():
            connection.execute("CREATE TEMP TABLE kept AS SELECT * FROM playlist_track")
            connection.execute("TRUNCATE playlist_track")
        change(connection, dice, 500)
        connection.execute(
            "INSERT INTO playlist_track SELECT * FROM kept WHERE track_id % 7 <> 0 ON CONFLICT DO NOTHING"
        )
        change(connection, dice, 500)
        syncline.drained()
        report = syncline.verify()
    assert report["verdict"] == "equal", json.dumps(report)[:2000]


def change(connection: psycopg.Connection[Any], dice: random.Random, operations: int) -> None:
    """Do random things, in transactions of random size; one in ten is rolled back."""
    done = 0
    while done < operations:
        size = dice.choice((1, 1, 5, 20))
        with connection.transaction(force_rollback=dice.random() < 0.1):
            for _ in range(size):
                statement, *values = dice.choice(STATEMENTS)
                connection.execute(statement, [value(dice) for value in values])
        done += size


def _word(dice: random.Random) -> str:
    return "".join(dice.choice("aäb€c '$.\U0001f3b5") for _ in range(dice.randrange(1, 20)))


def _price(dice: random.Random) -> Decimal:
    return Decimal(dice.randrange(1, 100_000)) / 100


def _up_to(most: int) -> Any:
    return lambda dice: dice.randrange(1, most)


TRACK, NEW_TRACK, LINE, CUSTOMER = _up_to(3503), lambda dice: dice.randrange(10_000, 10_200), _up_to(2240), _up_to(59)
STATEMENTS: list[tuple[Any, ...]] = [
    ("UPDATE track SET name = %s, unit_price = %s WHERE track_id = %s", _word, _price, TRACK),
    ("UPDATE track SET composer = NULL, album_id = %s WHERE track_id = %s", _up_to(347), TRACK),
    (("INSERT INTO track (track_id, name, album_id, media_type_id, milliseconds, unit_price) VALUES (%s, %s, %s, 1, 1, %s)"
     " ON CONFLICT (track_id) DO UPDATE SET name = excluded.name"), NEW_TRACK, _word, _up_to(347), _price),
    ("DELETE FROM track WHERE track_id = %s AND track_id >= 10000", NEW_TRACK),
    ("UPDATE track AS t SET track_id = %s WHERE track_id = %s AND NOT EXISTS (SELECT FROM track WHERE track_id = 10200)",
     lambda dice: 10_200, NEW_TRACK),
    ("INSERT INTO playlist_track VALUES (%s, %s) ON CONFLICT DO NOTHING", _up_to(18), TRACK),
    ("DELETE FROM playlist_track WHERE playlist_id = %s AND track_id = %s", _up_to(18), TRACK),
    (("UPDATE playlist_track AS p SET playlist_id = 18 WHERE track_id = %s AND playlist_id = 1 AND NOT EXISTS"
     " (SELECT FROM playlist_track AS o WHERE o.track_id = p.track_id AND o.playlist_id = 18)"), TRACK),
    ("UPDATE invoice_line SET quantity = quantity + 1 WHERE invoice_line_id = %s", LINE),
    ("UPDATE invoice_line SET invoice_id = %s WHERE invoice_line_id = %s", _up_to(412), LINE),
    ("DELETE FROM invoice_line WHERE invoice_line_id = %s", LINE),
    ("INSERT INTO invoice_line VALUES (%s, %s, %s, %s, 1) ON CONFLICT DO NOTHING", _up_to(4000), _up_to(412), TRACK, _price),
    ("UPDATE invoice SET total = %s, billing_city = %s WHERE invoice_id = %s", _price, _word, _up_to(412)),
    ("UPDATE customer SET company = %s, fax = NULL WHERE customer_id = %s", _word, CUSTOMER),
    ("UPDATE employee SET title = left(%s, 30) WHERE employee_id = %s", _word, _up_to(8)),
    ("UPDATE artist SET name = %s WHERE artist_id = %s", _word, _up_to(275)),
    ("UPDATE album SET title = %s WHERE album_id = %s", _word, _up_to(347)),
    ("UPDATE genre SET name = %s WHERE genre_id = %s", _word, _up_to(25)),
    ("UPDATE media_type SET name = %s WHERE media_type_id = %s", _word, _up_to(5)),
    ("INSERT INTO artist VALUES (%s, %s) ON CONFLICT (artist_id) DO NOTHING", lambda dice: dice.randrange(1000, 1100), _word),
    ("DELETE FROM artist WHERE artist_id = %s AND artist_id >= 1000", lambda dice: dice.randrange(1000, 1100)),
]  # fmt: skip


def expected(connection: psycopg.Connection[Any], table: str) -> dict[str, dict[str, Any]]:
    """Compute a table's documents by hand: key text to document."""
    key = KEYS[table]
    cursor = connection.execute(f"SELECT * FROM {table}")
    names = [column.name for column in cursor.description or ()]
    documents = {}
    for row in cursor:
        record = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        if len(key) == 1:
            text = str(record[key[0]])
            document = {"_id": record.pop(key[0]), **record}
        else:
            text = json.dumps([str(record[name]) for name in key])
            document = {"_id": {name: record[name] for name in key}, **record}
        documents[text] = document
    return documents


def embed(
    connection: psycopg.Connection[Any], parents: dict[str, dict[str, Any]], field: str, table: str, on: str
) -> None:
    """Put the rows of a child table into their parents, in the order of the child's key."""
    for parent in parents.values():
        parent[field] = []
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {on} IS NOT NULL ORDER BY {', '.join(KEYS[table])}")
    names = [column.name for column in cursor.description or ()]
    for row in cursor:
        record = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        parents[str(record.pop(on))][field].append(record)


def _plain(value: Any) -> Any:
    return Decimal128(value) if isinstance(value, Decimal) else value
