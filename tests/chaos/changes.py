"""Changes of the schema, of every kind that there is, each made by who looks at the catalog first. The same seed draws the same kinds."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

Session = psycopg.Connection[Any]
Statements = Sequence[str]
TABLES = """
CREATE TYPE mood AS ENUM ('happy', 'label_1', 'label_2');
CREATE TABLE item (
    id bigint PRIMARY KEY, uid bigint NOT NULL UNIQUE, name text, amount integer, mood mood,
    doubled integer GENERATED ALWAYS AS (amount * 2) STORED
);
CREATE TABLE part (id bigint PRIMARY KEY, name text, amount integer) PARTITION BY RANGE (id);
CREATE TABLE part_0 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (100) TO (200);
CREATE TABLE parent (id bigint PRIMARY KEY, name text);
CREATE TABLE child (cid bigint PRIMARY KEY, parent_id bigint, n integer);
"""
PLAIN = ("item", "parent", "child")
NAMES = ("item", "part", "parent", "child")
SPAN = 100
"""Keys of a partition."""
PARTS = 4
OF_CAPTURE = (
    "SELECT t.tgrelid::regclass::text, t.tgname FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid"
    " WHERE p.pronamespace = 'syncline'::regnamespace AND t.tgparentid = 0 ORDER BY 1, 2"
)


class Changer:
    """Draws changes for the schema as it is."""

    def __init__(self, session: Session, dice: random.Random, *, superuser: bool, reinstall: bool) -> None:
        self.session = session
        self._dice = dice
        self._superuser = superuser
        self._reinstall = reinstall
        self._number = dice.randrange(10**6)

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Look something up."""
        return self.session.execute(query, values or None).fetchall()

    def draw(self) -> tuple[str, Statements]:
        """Give a kind and its statements; none: it does not apply at the moment."""
        if self._dice.random() < 0.3 and (back := come_back(self.session)):
            return "come back", back
        kinds = KINDS | (OF_SUPERUSERS if self._superuser else {}) | (OF_REINSTALLERS if self._reinstall else {})
        name = self._dice.choice(list(kinds))
        return name, kinds[name](self)

    # -- what there is

    def _table(self, among: Sequence[str] = NAMES) -> str:
        there = {
            name for (name,) in self.rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        }
        return self._dice.choice([name for name in among if name in there] or ["item"])

    def _columns(self, table: str, like: str = "extra%") -> list[str]:
        query = (
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
            " AND attname LIKE %s ORDER BY attnum"
        )
        return [name for (name,) in self.rows(query, table, like)]

    def _has(self, table: str, column: str) -> bool:
        return column in self._columns(table, column)

    def _fresh(self) -> str:
        self._number += 1
        return f"extra_{self._number}"

    def _parts(self) -> list[str]:
        query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass('part') ORDER BY 1"
        return [name for (name,) in self.rows(query)]

    def _loose_parts(self) -> list[int]:
        """Give the places of partitions that are not attached."""
        attached = set(self._parts())
        return [place for place in range(PARTS) if f"part_{place}" not in attached]

    def _exists(self, table: str) -> bool:
        return bool(self.rows("SELECT to_regclass(%s) IS NOT NULL", table)[0][0])

    # -- columns

    def add_column(self) -> Statements:
        table = self._table()
        if len(self._columns(table)) > 4:
            return self.drop_column()
        kind = self._dice.choice(
            ("text", "text DEFAULT 'd'", "integer DEFAULT 7", "boolean", "numeric", "mood DEFAULT 'happy'")
        )
        return [f"ALTER TABLE {table} ADD COLUMN {self._fresh()} {kind}"]

    def add_odd_column(self) -> Statements:
        table = self._table()
        return (
            [f'ALTER TABLE {table} ADD COLUMN "extra %d {self._fresh()} ""q""" text DEFAULT \'odd\'']
            if len(self._columns(table)) < 4
            else []
        )

    def drop_column(self) -> Statements:
        table = self._table()
        columns = self._columns(table)
        return [f"ALTER TABLE {table} DROP COLUMN {_quoted(self._dice.choice(columns))} CASCADE"] if columns else []

    def rename_column(self) -> Statements:
        table = self._table()
        columns = self._columns(table)
        return (
            [f"ALTER TABLE {table} RENAME {_quoted(self._dice.choice(columns))} TO {self._fresh()}"] if columns else []
        )

    def drop_and_add(self) -> Statements:
        table = self._table(("item", "part", "parent"))
        return [f"ALTER TABLE {table} DROP COLUMN name, ADD COLUMN name text"]

    def exchange_names(self) -> Statements:
        table = self._table()
        columns = self._columns(table)
        if len(columns) < 2:
            return []
        one, other = map(_quoted, self._dice.sample(columns, 2))
        renames = ((one, "swapped"), (other, one), ("swapped", other))
        return ["BEGIN", *(f"ALTER TABLE {table} RENAME {old} TO {new}" for old, new in renames), "COMMIT"]

    def rewrite(self) -> Statements:
        table = self._table(("item", "part", "parent"))
        using = self._dice.choice(("upper(name)", "name || '+'", "reverse(name)", "left(name, 5)"))
        return [f"ALTER TABLE {table} ALTER name TYPE text USING {using}"]

    def retype(self) -> Statements:
        table, column = self._dice.choice((("part", "amount"), ("child", "n")))
        kind = self._dice.choice(("integer", "bigint", "numeric", "text"))
        return [f"ALTER TABLE {table} ALTER {column} TYPE {kind} USING {column}::{kind}"]

    def retype_key(self) -> Statements:
        table = self._dice.choice(("item", "parent"))
        kind = self._dice.choice(("bigint", "text", "integer", "numeric(20,0)"))
        return [f"ALTER TABLE {table} ALTER id TYPE {kind} USING id::{kind}"]

    def retype_on(self) -> Statements:
        kind = self._dice.choice(("bigint", "bigint", "integer", "text"))
        return [f"ALTER TABLE child ALTER parent_id TYPE {kind} USING parent_id::{kind}"]

    def shift_key(self) -> Statements:
        return ["ALTER TABLE parent ALTER id TYPE bigint USING id::bigint + 1"]

    def set_expression(self) -> Statements:
        factor = self._dice.randrange(2, 9)
        if self.session.info.server_version < 170000:
            return [
                "ALTER TABLE item DROP COLUMN doubled, ADD COLUMN doubled integer GENERATED ALWAYS AS (amount * 3) STORED"
            ]
        return [f"ALTER TABLE item ALTER doubled SET EXPRESSION AS (amount * {factor})"]

    def generated(self) -> Statements:
        table = self._table(("item", "part"))
        kind = "VIRTUAL" if self.session.info.server_version >= 180000 and self._dice.random() < 0.5 else "STORED"
        return (
            [f"ALTER TABLE {table} ADD COLUMN {self._fresh()} text GENERATED ALWAYS AS (name || '!') {kind}"]
            if len(self._columns(table)) < 4
            else []
        )

    def default(self) -> Statements:
        return [f"ALTER TABLE {self._table(('item', 'parent'))} ALTER name SET DEFAULT 'none'"]

    def not_null(self) -> Statements:
        return self._dice.choice(
            (
                ["UPDATE child SET n = 0 WHERE n IS NULL", "ALTER TABLE child ALTER n SET NOT NULL"],
                ["ALTER TABLE child ALTER n DROP NOT NULL"],
            )
        )

    def check(self) -> Statements:
        return [
            "ALTER TABLE item DROP CONSTRAINT IF EXISTS sane",
            "ALTER TABLE item ADD CONSTRAINT sane CHECK (uid > -1) NOT VALID",
        ]

    def identity(self) -> Statements:
        return [
            "ALTER TABLE child ALTER cid ADD GENERATED BY DEFAULT AS IDENTITY",
            "ALTER TABLE child ALTER cid DROP IDENTITY IF EXISTS",
        ]

    def statistics(self) -> Statements:
        table = self._table()
        return [
            f"ALTER TABLE {table} REPLICA IDENTITY FULL",
            f"COMMENT ON TABLE {table} IS 'changed'",
            f"ANALYZE {table}",
        ]

    def rename_key(self) -> Statements:
        table, key = self._dice.choice((("item", "id"), ("parent", "id"), ("child", "cid"), ("child", "parent_id")))
        old, new = (key, f"{key}_renamed") if self._has(table, key) else (f"{key}_renamed", key)
        return [f"ALTER TABLE {table} RENAME {old} TO {new}"]

    # -- types

    def add_value(self) -> Statements:
        return [f"ALTER TYPE mood ADD VALUE 'label_{self._fresh()}'"]

    def rename_value(self) -> Statements:
        labels = [
            label
            for (label,) in self.rows(
                "SELECT enumlabel FROM pg_enum WHERE enumtypid = 'mood'::regtype AND enumlabel <> 'happy'"
            )
        ]
        return [f"ALTER TYPE mood RENAME VALUE '{self._dice.choice(labels)}' TO 'label_{self._fresh()}'"]

    # -- triggers

    def disable(self) -> Statements:
        what = self._dice.choice(("USER", "ALL"))
        return [f"ALTER TABLE {self._table()} DISABLE TRIGGER {what}"]

    def enable(self) -> Statements:
        return [f"ALTER TABLE {self._table()} ENABLE TRIGGER {self._dice.choice(('USER', 'ALL'))}"]

    def disable_ours(self) -> Statements:
        found = self.rows(OF_CAPTURE)
        return [
            f"ALTER TABLE {table} DISABLE TRIGGER {trigger}"
            for table, trigger in self._dice.sample(found, len(found))[:1]
        ]

    def blink(self) -> Statements:
        """Off, a write, and on again as it was, in one transaction."""
        found = self.rows(OF_CAPTURE)
        if not found:
            return []
        table = self._dice.choice(found)[0]
        ours = [trigger for where, trigger in found if where == table]
        on = [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}" for trigger in ours]
        return ["BEGIN", f"ALTER TABLE {table} DISABLE TRIGGER USER", _touch(table), *on, "COMMIT"]

    def drop_trigger(self) -> Statements:
        found = self.rows(OF_CAPTURE)
        return [
            f"DROP TRIGGER {trigger} ON {table}" for table, trigger in ([self._dice.choice(found)] if found else [])
        ]

    def drop_function(self) -> Statements:
        found = self.rows(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'syncline'::regnamespace AND proname LIKE 'capture%'"
        )
        return [f"DROP FUNCTION syncline.{self._dice.choice(found)[0]}() CASCADE"] if found else []

    def another_trigger(self) -> Statements:
        return [
            "CREATE OR REPLACE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE OR REPLACE TRIGGER nothing BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION public.nothing()",
            "DROP TRIGGER IF EXISTS nothing ON item",
        ]

    # -- tables

    def swap(self) -> Statements:
        table, other = self._table(PLAIN), f"swapped_{self._fresh()}"
        wider = (
            [f"ALTER TABLE {other} ADD COLUMN {self._fresh()} text DEFAULT 's'"] if self._dice.random() < 0.3 else []
        )
        columns = (
            "cid, parent_id, n"
            if table == "child"
            else "id, name"
            if table == "parent"
            else "id, uid, name, amount, mood"
        )
        return [
            "BEGIN", f"LOCK TABLE {table}", f"CREATE TABLE {other} (LIKE {table} INCLUDING ALL)", *wider,
            f"INSERT INTO {other} ({columns}) SELECT {columns} FROM {table}",
            f"ALTER TABLE {table} RENAME TO old_{table}", f"ALTER TABLE {other} RENAME TO {table}", f"DROP TABLE old_{table}", "COMMIT",
        ]  # fmt: skip

    def make_again(self) -> Statements:
        table = self._table(PLAIN)
        create = TABLES[TABLES.index(f"CREATE TABLE {table} (") :].split(";", maxsplit=1)[0]
        return ["BEGIN", f"DROP TABLE {table} CASCADE", create, _touch(table), "COMMIT"]

    def go_away(self) -> Statements:
        table = self._table(PLAIN)
        return [f"ALTER TABLE {table} RENAME TO away_{table}"]

    def come_back(self) -> Statements:
        return come_back(self.session)

    def there_and_back(self) -> Statements:
        table = self._table(PLAIN)
        return [
            "BEGIN",
            f"ALTER TABLE {table} RENAME TO away_{table}",
            f"ALTER TABLE away_{table} RENAME TO {table}",
            "COMMIT",
        ]

    def other_schema(self) -> Statements:
        return [f"ALTER TABLE {self._table()} SET SCHEMA elsewhere"]

    def full(self) -> Statements:
        return [f"VACUUM FULL {self._table()}"]

    def cluster(self) -> Statements:
        table = self._table(PLAIN)
        key = self.rows("SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'p'", table)
        return [f"CLUSTER {table} USING {key[0][0]}"] if key else []

    def truncate(self) -> Statements:
        return [f"TRUNCATE {self._table()}"]

    def unlogged(self) -> Statements:
        table = self._table(("item", "child"))
        return [f"ALTER TABLE {table} SET UNLOGGED", f"ALTER TABLE {table} SET LOGGED"]

    def move_key(self) -> Statements:
        if not self._has("item", "id"):
            return []
        key = self._dice.choice(("id", "uid", "id, uid"))
        name = self.rows("SELECT conname FROM pg_constraint WHERE conrelid = to_regclass('item') AND contype = 'p'")
        return [f"ALTER TABLE item DROP CONSTRAINT {name[0][0]}, ADD PRIMARY KEY ({key})"] if name else []

    def index(self) -> Statements:
        return [
            "DROP INDEX IF EXISTS index_some",
            f"CREATE INDEX index_some ON {self._table(('item', 'parent'))} (name)",
        ]

    def unique_index(self) -> Statements:
        return ["DROP INDEX IF EXISTS index_other", "CREATE UNIQUE INDEX index_other ON item (uid, amount)"]

    def heir(self) -> Statements:
        if self._exists("heir"):
            return ["DROP TABLE heir"]
        return [
            "CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent)",
            "INSERT INTO heir (id, name) VALUES (5000, 'heir')",
        ]

    # -- partitions

    def make_part(self) -> Statements:
        place = self._dice.choice(self._loose_parts() or [-1])
        if place < 0 or self._exists(f"part_{place}"):
            return []
        bounds = f"FOR VALUES FROM ({place * SPAN}) TO ({(place + 1) * SPAN})"
        return [
            f"CREATE TABLE part_{place} PARTITION OF part {bounds}",
            f"INSERT INTO part (id, name) VALUES ({place * SPAN + 7}, 'new')",
        ]

    def attach(self) -> Statements:
        place = self._dice.choice(self._loose_parts() or [-1])
        if place < 0:
            return []
        make = [] if self._exists(f"part_{place}") else [f"CREATE TABLE part_{place} (LIKE part INCLUDING ALL)"]
        bounds = f"FOR VALUES FROM ({place * SPAN}) TO ({(place + 1) * SPAN})"
        fill = f"INSERT INTO part_{place} (id, name) VALUES ({place * SPAN + 9}, 'filled') ON CONFLICT DO NOTHING"
        return [*make, fill, f"ALTER TABLE part ATTACH PARTITION part_{place} {bounds}"]

    def detach(self) -> Statements:
        parts = self._parts()
        return [f"ALTER TABLE part DETACH PARTITION {self._dice.choice(parts)}"] if parts else []

    def detach_and_attach(self) -> Statements:
        parts = [name for name in self._parts() if name.startswith("part_")]
        if not parts:
            return []
        part = self._dice.choice(parts)
        place = int(part.removeprefix("part_"))
        bounds = f"FOR VALUES FROM ({place * SPAN}) TO ({(place + 1) * SPAN})"
        unseen = f"UPDATE {part} SET name = 'unseen ' || id"
        return [
            "BEGIN",
            f"ALTER TABLE part DETACH PARTITION {part}",
            unseen,
            f"ALTER TABLE part ATTACH PARTITION {part} {bounds}",
            "COMMIT",
        ]

    def drop_part(self) -> Statements:
        parts = self._parts()
        return [f"DROP TABLE {self._dice.choice(parts)}"] if len(parts) > 1 else []

    # -- our own schema

    def drop_our_function(self) -> Statements:
        return [
            f"DROP FUNCTION IF EXISTS syncline.{self._dice.choice(('lane_of', 'wake', 'markable', 'mark', 'event_name'))} CASCADE"
        ]

    def extend_outbox(self) -> Statements:
        if self.rows("SELECT FROM pg_class WHERE relname = 'added' AND relnamespace = 'syncline'::regnamespace"):
            return ["DROP INDEX syncline.added"]
        return ["CREATE INDEX added ON syncline.outbox (key)"]

    def forbid_marks(self) -> Statements:
        """Some keys cannot be marked for a while."""
        if self.rows("SELECT FROM pg_constraint WHERE conname = 'never'"):
            return ["ALTER TABLE syncline.outbox DROP CONSTRAINT never"]
        return ["ALTER TABLE syncline.outbox ADD CONSTRAINT never CHECK (key NOT LIKE '%7') NOT VALID"]

    # -- our own schema, where workers may put it back

    def drop_our_table(self) -> Statements:
        return [
            f"DROP TABLE IF EXISTS syncline.{self._dice.choice(('outbox', 'task', 'notice', 'deferred', 'observed', 'certificate'))} CASCADE"
        ]

    def drop_our_column(self) -> Statements:
        table, column = self._dice.choice(
            (
                ("outbox", "hint"),
                ("outbox", "durable"),
                ("outbox", "tx"),
                ("task", "options"),
                ("notice", "entity"),
                ("lane", "epoch"),
            )
        )
        return [f"ALTER TABLE syncline.{table} DROP COLUMN {column} CASCADE"]

    def retype_ours(self) -> Statements:
        table, column, type_ = self._dice.choice(
            (
                ("outbox", "lane", "integer"),
                ("outbox", "durable", "text"),
                ("task", "reason", "varchar(5)"),
                ("worker", "name", "varchar(3)"),
            )
        )
        default = f"ALTER TABLE syncline.{table} ALTER {column} DROP DEFAULT"
        return [
            "BEGIN",
            default,
            f"ALTER TABLE syncline.{table} ALTER {column} TYPE {type_} USING left({column}::text, 3)::{type_}",
            "COMMIT",
        ]

    # -- of superusers

    def as_replica(self) -> Statements:
        return ["BEGIN", "SET LOCAL session_replication_role = replica", _touch(self._table()), "COMMIT"]


def come_back(session: Session) -> list[str]:
    """Give what brings tables back that were renamed or moved."""
    query = "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relkind IN ('r', 'p') AND (relname LIKE %s OR relnamespace = 'elsewhere'::regnamespace)"
    statements = []
    for schema, name in session.execute(query, ["away\\_%"]).fetchall():
        plain = name.removeprefix("away_")
        if session.execute("SELECT to_regclass('public.' || %s) IS NOT NULL", [plain]).fetchone()[0]:
            statements.append(f"DROP TABLE {schema}.{name} CASCADE")
            continue
        if schema != "public":
            statements.append(f"ALTER TABLE {schema}.{name} SET SCHEMA public")
        if plain != name:
            statements.append(f"ALTER TABLE public.{name} RENAME TO {plain}")
    return statements


def go_home(session: Session) -> list[str]:
    """Give what brings the columns back that writers write, and takes away what was put on the outbox."""
    statements = [
        "DROP INDEX IF EXISTS syncline.added",
        "ALTER TABLE IF EXISTS syncline.outbox DROP CONSTRAINT IF EXISTS never",
    ]
    for table, column in (("item", "id"), ("parent", "id"), ("child", "cid"), ("child", "parent_id")):
        query = (
            "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped"
        )
        if session.execute(query, [table, f"{column}_renamed"]).fetchone()[0]:
            statements.append(f"ALTER TABLE {table} RENAME {column}_renamed TO {column}")
    ids = (
        "SELECT replace(format_type(atttypid, atttypmod), 'integer', 'bigint') FROM pg_attribute"
        " WHERE attrelid = to_regclass(%(table)s) AND attname::text IN (%(column)s::text, %(column)s::text || '_renamed')"
    )
    (parent,), (child,) = (
        session.execute(ids, {"table": table, "column": column}).fetchone() or ("",)
        for table, column in (("parent", "id"), ("child", "parent_id"))
    )
    if parent != child:  # an embed whose keys print otherwise is refused
        statements.append(f"ALTER TABLE child ALTER parent_id TYPE {parent} USING parent_id::{parent}")
    return statements


def _touch(table: str) -> str:
    if table.startswith("child"):
        return f"UPDATE {table} SET n = NULL WHERE false"
    return f"UPDATE {table} SET name = 'touched ' || clock_timestamp()"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


KINDS: dict[str, Callable[[Changer], Statements]] = {
    name.replace("_", " "): getattr(Changer, name)
    for name in (
        "add_column", "add_odd_column", "drop_column", "rename_column", "drop_and_add", "exchange_names", "rewrite", "retype", "retype_key",
        "retype_on", "shift_key", "set_expression", "generated", "default", "not_null", "check", "identity", "statistics", "rename_key", "add_value",
        "rename_value", "disable", "enable", "disable_ours", "blink", "drop_trigger", "drop_function", "another_trigger", "swap", "make_again",
        "go_away", "come_back", "there_and_back", "other_schema", "full", "cluster", "truncate", "unlogged", "move_key", "index", "unique_index",
        "heir", "make_part", "attach", "detach", "detach_and_attach", "drop_part", "drop_our_function", "extend_outbox", "forbid_marks",
    )
}  # fmt: skip
OF_REINSTALLERS: dict[str, Callable[[Changer], Statements]] = {
    "drop our table": Changer.drop_our_table,
    "drop our column": Changer.drop_our_column,
    "retype ours": Changer.retype_ours,
}
OF_SUPERUSERS: dict[str, Callable[[Changer], Statements]] = {"as replica": Changer.as_replica}
