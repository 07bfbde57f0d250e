"""The tables of a chaos run, their mapping, and what the target must hold: computed here, without our mapping."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
from bson import json_util
from bson.binary import Binary
from bson.decimal128 import Decimal128
from pymongo import MongoClient

KEYS = 600
"""Keys of each entity; only a window of them is written at any moment, so that a lost change stays lost."""

TEAM = 20
"""Members of a team."""


def order_id(number: int) -> uuid.UUID:
    """Give the key of an order."""
    return uuid.UUID(int=number)


TABLES = """
CREATE SEQUENCE versions;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := nextval('public.versions');
    RETURN NEW;
END $$;

CREATE TABLE account (
    id bigint PRIMARY KEY,
    email text NOT NULL,
    balance numeric(20, 4) NOT NULL,
    note text,
    hidden boolean NOT NULL DEFAULT false,
    version bigint NOT NULL,
    CONSTRAINT account_email UNIQUE (email) DEFERRABLE INITIALLY IMMEDIATE
);
CREATE TABLE orders (id uuid PRIMARY KEY, customer text NOT NULL, version bigint NOT NULL);
CREATE TABLE line (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE,
    item text NOT NULL,
    quantity integer NOT NULL,
    version bigint NOT NULL
);
CREATE INDEX line_order ON line (order_id);
CREATE TABLE membership (
    team integer NOT NULL, member text NOT NULL, role text, data jsonb, version bigint NOT NULL, PRIMARY KEY (team, member)
);
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON line FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON membership FOR EACH ROW EXECUTE FUNCTION stamp();
"""
"""Versions are drawn while the row is locked (BEFORE triggers of UPDATE) or by the one writer that may insert the key:
those of a key rise in the order of its commits."""

ENTITIES = """
[entities.account]
where = "NOT hidden"
[[entities.account.indexes]]
keys = "email"
unique = true

[entities.orders.embed.lines]
table = "line"
on = "order_id"

[entities.membership]
"""

DATABASE = "chaos"
KEY_TEXTS = {"account": "id::text", "orders": "id::text", "membership": "jsonb_build_array(team::text, member)::text"}
COLLECTIONS = ("account", "orders", "membership")


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that is not what it should be."""

    collection: str
    key: str
    wanted: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.collection}/{self.key}\n    source: {_show(self.wanted)}\n    target: {_show(self.found)}"


def expected(connection: psycopg.Connection[Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Read the source: collection to key text to document."""
    documents: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in COLLECTIONS}
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for id_, email, balance, note, hidden, version in connection.execute(
            "SELECT id, email, balance::text, note, hidden, version FROM account WHERE hidden IS FALSE"
        ):
            documents["account"][str(id_)] = {
                "_id": id_, "email": email, "balance": Decimal128(balance), "note": note, "hidden": hidden, "version": version,
            }  # fmt: skip
        for id_, customer, version in connection.execute("SELECT id, customer, version FROM orders"):
            documents["orders"][str(id_)] = {
                "_id": Binary.from_uuid(id_), "customer": customer, "version": version, "lines": [],
            }  # fmt: skip
        for id_, order, item, quantity, version in connection.execute(
            "SELECT id, order_id::text, item, quantity, version FROM line ORDER BY id"
        ):
            line = {"id": id_, "item": item, "quantity": quantity, "version": version}
            documents["orders"][order]["lines"].append(line)
        for team, member, role, data, version in connection.execute(
            "SELECT team, member, role, data, version FROM membership"
        ):
            documents["membership"][json.dumps([str(team), member])] = {
                "_id": {"team": team, "member": member},
                "team": team, "member": member, "role": role, "data": data, "version": version,
            }  # fmt: skip
    return documents


def differences(connection: psycopg.Connection[Any], client: MongoClient[dict[str, Any]]) -> list[Difference]:
    """Compare both sides, field by field; nobody may be writing."""
    found: list[Difference] = []
    for collection, wanted in expected(connection).items():
        there = {
            document.get("_originalId", document["_id"]): document for document in client[DATABASE][collection].find()
        }
        for key in sorted(wanted.keys() | there.keys(), key=str):
            document = dict(there[key]) if key in there else None
            if document is not None:
                mine = [document.pop(name, None) for name in ("_originalId", "_source", "_syncedAt", "_v")]
                if mine[:2] != [key, "postgresql"] or None in mine:
                    document["marks"] = mine
            if document != wanted.get(key):
                found.append(Difference(collection, str(key), wanted.get(key), there.get(key)))
    return found


def _show(value: Any) -> str:
    return "absent" if value is None else json_util.dumps(value)
