"""A schema with a column of every type, random rows, a mapping that uses everything; documents computed by hand."""

from __future__ import annotations

import json
import random
from typing import Any

import psycopg
import pytest

from tests.acceptance.running import Syncline, differing
from tests.acceptance.values import TYPES, Pair, random_pair

pytestmark = pytest.mark.slow

COLUMNS = {f"c{number:02}": type_ for number, type_ in enumerate(TYPES)}
ROWS = 150
OPERATIONS = 400

TABLES = f"""
CREATE TYPE mood AS ENUM ('sad', 'so-so', 'überglücklich');
CREATE DOMAIN price AS numeric(12,2) CHECK (value < 10000000000);
CREATE TABLE everything (id bigint PRIMARY KEY, {", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())});
CREATE TABLE mapped (
    tenant text NOT NULL, "number" integer NOT NULL, first_name text NOT NULL, city text, secret text, deleted_at timestamptz,
    amount numeric(10,2), precise timestamptz, PRIMARY KEY (tenant, "number")
);
CREATE TABLE part (
    id uuid PRIMARY KEY, tenant text NOT NULL, "number" integer NOT NULL, place integer NOT NULL, label text, weight numeric, hidden boolean NOT NULL,
    FOREIGN KEY (tenant, "number") REFERENCES mapped ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX part_parent ON part (tenant, "number");
"""

ENTITIES = """
[entities.everything]

[entities.mapped]
collection = "people"
where = "deleted_at IS NULL"
naming = "camel"
exclude = "secret"
rename = { city = "address.city" }
types = { amount = "text", precise = "micros" }
[entities.mapped.computed]
greeting = "'hello ' || first_name"
"address.known" = { sql = "city IS NOT NULL", type = "boolean" }

[entities.mapped.embed.parts]
table = "part"
on = ["tenant", "number"]
order_by = "place"
where = "NOT hidden"
rename = { id = "part" }
exclude = ["hidden", "place"]
"""


def test_every_type_every_mapping(database, mongo_url, mongo_db, tmp_path):
    syncline = Syncline(tmp_path, source=database, target=mongo_url, database=mongo_db, entities=ENTITIES)
    dice = random.Random(20_261)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
        everything = Everything(connection, dice)
        mapped = Mapped(connection, dice)
        for _ in range(ROWS // 2):
            everything.put()
            mapped.put()
        syncline.call("install", "--yes")
        with syncline.worker():
            for _ in range(OPERATIONS):
                dice.choice((everything.put, everything.put, everything.change, everything.delete, everything.rename))()
                dice.choice(
                    (mapped.put, mapped.part, mapped.part, mapped.update, mapped.hide, mapped.rename, mapped.delete)
                )()
            syncline.drained()
            report = syncline.verify()
        assert report["verdict"] == "equal", json.dumps(report)[:2000]
        assert differing(everything.wanted(), syncline.documents("everything")) == []
        assert differing(mapped.wanted(), syncline.documents("people")) == []


class Everything:
    """The table with a column of every type, and what was written to it."""

    def __init__(self, connection: psycopg.Connection[Any], dice: random.Random) -> None:
        self.rows: dict[int, dict[str, Pair]] = {}
        self._connection = connection
        self._dice = dice

    def _key(self) -> int:
        return self._dice.choice((self._dice.randrange(ROWS), 2**63 - 1, -(2**63), self._dice.randrange(ROWS)))

    def put(self) -> None:
        key, row = self._key(), {name: random_pair(type_, self._dice) for name, type_ in COLUMNS.items()}
        self.rows[key] = row
        places = ", ".join(f"%s::{_bare(COLUMNS[name])}" for name in row)
        settings = ", ".join(f"{name} = excluded.{name}" for name in row)
        self._connection.execute(
            f"INSERT INTO everything (id, {', '.join(row)}) VALUES (%s, {places}) ON CONFLICT (id) DO UPDATE SET {settings}",
            [key, *(text for text, _ in row.values())],
        )

    def change(self) -> None:
        key, name = self._key(), self._dice.choice(list(COLUMNS))
        pair = random_pair(COLUMNS[name], self._dice)
        if key in self.rows:
            self.rows[key][name] = pair
        self._connection.execute(
            f"UPDATE everything SET {name} = %s::{_bare(COLUMNS[name])} WHERE id = %s", (pair[0], key)
        )

    def delete(self) -> None:
        key = self._key()
        self.rows.pop(key, None)
        self._connection.execute("DELETE FROM everything WHERE id = %s", (key,))

    def rename(self) -> None:
        old, new = self._key(), self._key()
        if old in self.rows and new not in self.rows:
            self.rows[new] = self.rows.pop(old)
            self._connection.execute("UPDATE everything SET id = %s WHERE id = %s", (new, old))

    def wanted(self) -> dict[str, dict[str, Any]]:
        return {
            str(key): {"_id": key, **{name: value for name, (_, value) in row.items()}}
            for key, row in self.rows.items()
        }


class Mapped:
    """Tables whose mapping renames, drops, nests, computes, filters and embeds; read back in plain SQL."""

    def __init__(self, connection: psycopg.Connection[Any], dice: random.Random) -> None:
        self._connection = connection
        self._dice = dice

    def _key(self) -> tuple[str, int]:
        return self._dice.choice(("a", 'b"\\', "ü, [1]")), self._dice.randrange(ROWS // 5)

    def _run(self, statement: str, *values: Any) -> None:
        self._connection.execute(statement, values)

    def put(self) -> None:
        self._run(
            "INSERT INTO mapped VALUES (%s, %s, %s, %s, 'secret', NULL, %s, clock_timestamp()) ON CONFLICT DO NOTHING",
            *self._key(), f"n{self._dice.randrange(100)}", self._dice.choice((None, "Köln", "$city")), self._dice.randrange(1000),
        )  # fmt: skip

    def update(self) -> None:
        self._run(
            "UPDATE mapped SET amount = %s, city = %s WHERE tenant = %s AND number = %s",
            self._dice.choice((None, "1.50")), self._dice.choice((None, "", "Ulm")), *self._key(),
        )  # fmt: skip

    def hide(self) -> None:
        self._run(
            "UPDATE mapped SET deleted_at = CASE WHEN deleted_at IS NULL THEN now() END WHERE tenant = %s AND number = %s",
            *self._key(),
        )

    def rename(self) -> None:
        tenant, number = self._key()
        self._run(
            "UPDATE mapped AS m SET number = number + 1000 WHERE tenant = %s AND number = %s"
            " AND NOT EXISTS (SELECT FROM mapped AS o WHERE o.tenant = m.tenant AND o.number = m.number + 1000)",
            tenant, number,
        )  # fmt: skip

    def delete(self) -> None:
        self._run("DELETE FROM mapped WHERE tenant = %s AND number = %s", *self._key())

    def part(self) -> None:
        tenant, number = self._key()
        what = self._dice.randrange(4)
        if what < 2:
            self._run(
                "INSERT INTO part SELECT gen_random_uuid(), tenant, number, %s, %s, %s, %s FROM mapped WHERE tenant = %s AND number = %s",
                self._dice.randrange(5), "$label", self._dice.randrange(100), self._dice.random() < 0.2, tenant, number,
            )  # fmt: skip
        elif what == 2:
            self._run(
                "UPDATE part SET hidden = NOT hidden, weight = weight + 0.10 WHERE tenant = %s AND number = %s",
                tenant,
                number,
            )
        else:
            self._run("DELETE FROM part WHERE tenant = %s AND number = %s AND place > 2", tenant, number)

    def wanted(self) -> dict[str, dict[str, Any]]:
        from bson.binary import Binary
        from bson.decimal128 import Decimal128

        documents = {}
        for tenant, number, first_name, city, amount, micros in self._connection.execute(
            "SELECT tenant, number, first_name, city, amount::text, (extract(epoch FROM precise) * 1000000)::bigint"
            " FROM mapped WHERE deleted_at IS NULL"
        ):
            documents[tenant, number] = {
                "_id": {"tenant": tenant, "number": number}, "tenant": tenant, "number": number, "firstName": first_name,
                "address": {"city": city, "known": city is not None},
                "deletedAt": None, "amount": amount, "precise": micros, "greeting": f"hello {first_name}", "parts": [],
            }  # fmt: skip
        for id_, tenant, number, label, weight in self._connection.execute(
            "SELECT id, tenant, number, label, weight::text FROM part WHERE NOT hidden ORDER BY place, id"
        ):
            if (tenant, number) in documents:
                part = {"part": Binary.from_uuid(id_), "label": label, "weight": Decimal128(weight)}
                documents[tenant, number]["parts"].append(part)
        return {json.dumps([tenant, str(number)], ensure_ascii=False): d for (tenant, number), d in documents.items()}


def _bare(type_: str) -> str:
    return type_.removesuffix(" NOT NULL")
